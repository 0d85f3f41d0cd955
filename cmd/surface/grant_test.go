package surface_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/proto/catalog"
)

// rightsFields are the names of fields that contain rights.
var rightsFields = []string{"role", "roles", "permissions", "scopes", "operator"}

// hasRightsField reports whether a message has one of rightsFields, also in a nested message.
func hasRightsField(message protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if seen[message.FullName()] {
		return false
	}
	seen[message.FullName()] = true
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		if slices.Contains(rightsFields, string(field.Name())) || field.Message() != nil && hasRightsField(field.Message(), seen) {
			return true
		}
	}
	return false
}

// grantingMethods returns the RPCs that may grant, remove or change rights: those whose request
// has a field of rightsFields, and every other write of a service with such an RPC.
func grantingMethods(t *testing.T) []catalog.Method {
	t.Helper()
	services := map[protoreflect.FullName]bool{}
	var writes, out []catalog.Method
	for _, m := range catalog.Methods() {
		if !m.Public || m.ReadOnly() || m.Access.GetPublic() || !strings.HasPrefix(m.FullMethod, "/gatehouse.auth.") {
			continue
		}
		writes = append(writes, m)
		if hasRightsField(m.Descriptor.Input(), map[protoreflect.FullName]bool{}) {
			services[m.Descriptor.Parent().FullName()] = true
		}
	}
	for _, m := range writes {
		if services[m.Descriptor.Parent().FullName()] {
			out = append(out, m)
		}
	}
	return out
}

// grantingRequests has, by RPC, a request that would grant, remove or change rights if it were
// carried out. USER is a viewer of the organization ORG. The other names in capitals are
// resources of ORG that give more rights than a viewer has.
var grantingRequests = map[string]string{
	"AddMember":                  `{"organizationId": "ORG", "userId": "OTHERUSER", "roles": ["owner"]}`,
	"UpdateMember":               `{"organizationId": "ORG", "userId": "USER", "roles": ["owner"]}`,
	"RemoveMember":               `{"organizationId": "ORG", "userId": "USER"}`,
	"CreateInvitation":           `{"organizationId": "ORG", "email": "friend@example.com", "roles": ["admin"]}`,
	"DeleteInvitation":           `{"organizationId": "ORG", "id": "INVITATION"}`,
	"AcceptInvitation":           `{"token": "any"}`,
	"CreateRole":                 `{"organizationId": "ORG", "role": {"displayName": "All", "permissions": PERMISSIONS}}`,
	"UpdateRole":                 `{"organizationId": "ORG", "role": {"id": "ROLE", "permissions": PERMISSIONS}, "updateMask": "permissions"}`,
	"DeleteRole":                 `{"organizationId": "ORG", "id": "ROLE", "force": true}`,
	"CreateServiceAccount":       `{"organizationId": "ORG", "serviceAccount": {"displayName": "New", "roles": ["admin"]}}`,
	"UpdateServiceAccount":       `{"organizationId": "ORG", "serviceAccount": {"id": "ACCOUNT", "roles": ["admin"]}, "updateMask": "roles"}`,
	"DeleteServiceAccount":       `{"organizationId": "ORG", "id": "ACCOUNT"}`,
	"CreateServiceAccountApiKey": `{"organizationId": "ORG", "serviceAccountId": "ACCOUNT", "apiKey": {"displayName": "New", "scopes": ["chat.write"]}}`,
	"RotateServiceAccountApiKey": `{"organizationId": "ORG", "serviceAccountId": "ACCOUNT", "id": "ACCOUNTKEY"}`,
	"DeleteServiceAccountApiKey": `{"organizationId": "ORG", "serviceAccountId": "ACCOUNT", "id": "ACCOUNTKEY"}`,
	"CreateApiKey":               `{"apiKey": {"displayName": "New", "scopes": PERMISSIONS}}`,
	"RotateApiKey":               `{"id": "KEY"}`,
	"DeleteApiKey":               `{"id": "KEY"}`,
	"CreateOAuthClient":          `{"oauthClient": {"displayName": "New", "scopes": PERMISSIONS, "redirectUris": ["https://new.example/"]}}`,
	"UpdateOAuthClient":          `{"oauthClient": {"id": "CLIENT", "scopes": PERMISSIONS}, "updateMask": "scopes"}`,
	"RotateOAuthClientSecret":    `{"id": "CLIENT"}`,
	"DeleteOAuthClient":          `{"id": "CLIENT"}`,
	"CreateIdentityProvider":     `{"organizationId": "ORG", "identityProvider": {"displayName": "New", "issuer": "https://new.example", "clientId": "x", "domains": ["new.example"], "role": "admin"}}`,
	"UpdateIdentityProvider":     `{"organizationId": "ORG", "identityProvider": {"id": "PROVIDER", "role": "admin"}, "updateMask": "role"}`,
	"DeleteIdentityProvider":     `{"organizationId": "ORG", "id": "PROVIDER"}`,
	"UpdateMe":                   `{"me": {"displayName": "New"}, "updateMask": "displayName"}`,
	"ChangePassword":             `{"currentPassword": "any", "newPassword": "a few words beside each other"}`,
	"DeleteMe":                   `{}`,
	"CreateOrganization":         `{"organization": {"displayName": "New"}}`,
	"DeleteOrganization":         `{"id": "ORG"}`,
	"UndeleteOrganization":       `{"id": "ORG"}`,
}

// notGranting lists the writes of those services that change no rights.
var notGranting = []string{"UpdateOrganization"}

// storedRights returns all rights in the database as text, to compare before and after.
func storedRights(t *testing.T, i *inprocess.Installation) string {
	t.Helper()
	return query(t, i.Database, pgx.RowTo[string], `SELECT concat_ws(E'\n',
		(SELECT string_agg(m::text, ' ' ORDER BY organization_id, user_id) FROM auth.memberships m),
		(SELECT string_agg(r::text, ' ' ORDER BY id) FROM auth.roles r),
		(SELECT string_agg(v.id || ' ' || v.email || v.roles::text, ' ' ORDER BY id) FROM auth.invitations v),
		(SELECT string_agg(k.id || ' ' || k.scopes::text || k.secret_hash::text, ' ' ORDER BY id) FROM auth.api_keys k WHERE display_name <> 'Nightly'),
		(SELECT string_agg(c::text, ' ' ORDER BY id) FROM auth.oauth_clients c),
		(SELECT string_agg(p::text, ' ' ORDER BY id) FROM auth.identity_providers p),
		(SELECT string_agg(u.id || ' ' || u.operator || u.disabled, ' ' ORDER BY id) FROM auth.users u),
		(SELECT string_agg(o::text, ' ' ORDER BY id) FROM auth.organizations o))`)[0]
}

// createGrantingResources creates the resources that grantingRequests names. It returns a replacer
// of the placeholders by the ids.
func createGrantingResources(t *testing.T, i *inprocess.Installation, s inprocess.Session) *strings.Replacer {
	t.Helper()
	member, otherUser := i.SignUp(t, "viewer@example.com"), i.SignUp(t, "other-user@example.com")
	own := "/v1/organizations/" + s.OrganizationID
	inprocess.Decode(t, i.Request(t, s, http.MethodPost, own+"/members", map[string]any{"userId": member.UserID, "roles": []string{"viewer"}}), &struct{}{})
	var all []string
	for _, p := range catalog.Permissions() {
		if slices.Contains(p.GetRoles(), "owner") {
			all = append(all, p.GetName())
		}
	}
	permissions, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	account := i.Create(t, s, own+"/service-accounts", map[string]any{"displayName": "Theirs", "roles": []string{"member"}})
	secret := func(path string, body map[string]any) string {
		var made struct {
			APIKey, OauthClient struct{ ID string }
		}
		inprocess.Decode(t, i.Request(t, s, http.MethodPost, path, body), &made)
		return made.APIKey.ID + made.OauthClient.ID
	}
	described := map[string]any{"displayName": "Theirs", "scopes": []string{"chat.read"}}
	return strings.NewReplacer(
		"ORG", s.OrganizationID, "OTHERUSER", otherUser.UserID, "USER", member.UserID, "PERMISSIONS", string(permissions),
		"ACCOUNTKEY", secret(own+"/service-accounts/"+account+"/api-keys", described), "ACCOUNT", account,
		"ROLE", i.Create(t, s, own+"/roles", map[string]any{"displayName": "Theirs", "permissions": []string{"chat.read", "knowledge.read"}}),
		"INVITATION", i.Create(t, s, own+"/invitations", map[string]any{"email": "new@example.com", "roles": []string{"owner"}}),
		"PROVIDER", i.Create(t, s, own+"/identity-providers", map[string]any{
			"displayName": "Theirs", "issuer": "https://theirs.example", "clientId": "x", "domains": []string{"theirs.example"},
		}),
		"KEY", secret("/v1/me/api-keys", described),
		"CLIENT", secret("/v1/oauth-clients", map[string]any{"displayName": "Theirs", "scopes": []string{"chat.read"}, "redirectUris": []string{"https://theirs.example/"}}),
	)
}

// S83: a key with one scope cannot grant or remove rights by any RPC, although its user is an owner
// and an operator. Only the scope of the key counts, not the other rights of its user.
func TestS83KeyWithOneScopeCannotGrantRights(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	operator := i.SignIn(t)
	replacer := createGrantingResources(t, i, operator)
	conn, err := grpc.NewClient(strings.TrimPrefix(i.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	methods, before := grantingMethods(t), storedRights(t, i)
	if len(methods) < 25 {
		t.Fatalf("only %d RPCs grant or remove rights: the test proves nothing", len(methods))
	}
	var keys []inprocess.Session
	var scopes []string
	for _, p := range catalog.Permissions() {
		program, _ := createKey(t, i, operator, p.GetName())
		keys, scopes = append(keys, program), append(scopes, p.GetName())
	}
	for _, m := range methods {
		name := string(m.Descriptor.Name())
		if slices.Contains(notGranting, name) {
			continue
		}
		if grantingRequests[name] == "" {
			t.Errorf("%s: grantingRequests has no request of it", m.FullMethod)
			continue
		}
		message := request(t, m, id.New())
		if err := protojson.Unmarshal([]byte(replacer.Replace(grantingRequests[name])), message); err != nil {
			t.Fatal(err)
		}
		for n, program := range keys {
			st := call(withToken(t, program), conn, m, message)
			if st.Code() != codes.PermissionDenied || reasonOf(st) != "INSUFFICIENT_SCOPE" {
				t.Errorf("%s with only the scope %s: %v %s", m.FullMethod, scopes[n], st.Code(), st.Message())
			}
		}
		if after := storedRights(t, i); after != before {
			t.Fatalf("%s changed rights:\nbefore %s\nafter  %s", m.FullMethod, before, after)
		}
	}
}

// reasonOf returns the reason of the fault in a status.
func reasonOf(st *status.Status) string {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}
