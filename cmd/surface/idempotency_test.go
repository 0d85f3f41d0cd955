package surface_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/proto/catalog"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
)

// postMethods returns the RPCs that are POSTs in REST: those whose responses are stored for their
// idempotency key, and those whose responses contain secrets and are not stored.
func postMethods(t *testing.T) (stored, secret []catalog.Method) {
	t.Helper()
	for _, m := range catalog.Methods() {
		posted := len(m.Routes) > 0 && m.Routes[0].Verb == http.MethodPost || m.Descriptor.IsStreamingClient()
		switch {
		case !m.Public || !posted || m.Repeatable():
		case m.Secret():
			secret = append(secret, m)
		default:
			stored = append(stored, m)
		}
	}
	if len(stored) < 5 || len(secret) < 3 {
		t.Fatalf("%d RPCs store responses and %d return secrets: the test proves nothing", len(stored), len(secret))
	}
	return stored, secret
}

func TestIdempotencyKey_RequestRepeated_IsCarriedOutOnce(t *testing.T) {
	t.Parallel()
	// The model generates for a minute, so that there is a run to cancel.
	model := httptest.NewServer(modelstub.New(modelstub.Options{Default: modelstub.Echo(1200, 50*time.Millisecond)}))
	t.Cleanup(model.Close)
	i := inprocess.Start(t, map[string]string{"GATEHOUSE_MODEL": "openai/stub", "OPENAI_BASE_URL": model.URL + "/v1", "OPENAI_API_KEY": "any"})
	operator, member := i.SignIn(t), i.SignUp(t, "member@example.com")
	requests := validRequests(t, i, operator, member)
	stored, _ := postMethods(t)
	for _, m := range stored {
		message := requests[string(m.Descriptor.Name())]
		if message == nil {
			t.Errorf("%s: neither a fixture nor validRequests has a request of it", m.FullMethod)
			continue
		}
		checkIdempotency(t, i, operator, m, message)
	}
}

// validRequests returns, by RPC, a request that succeeds the first time. A second time it would
// fail or write again.
func validRequests(t *testing.T, i *inprocess.Installation, s, member inprocess.Session) map[string]proto.Message {
	t.Helper()
	collection := i.Create(t, s, "/v1/collections", map[string]string{"displayName": "One"})
	conversation := i.Create(t, s, "/v1/conversations", map[string]string{"title": "One"})
	var started struct{ Run struct{ ID string } }
	inprocess.Decode(t, i.Request(t, s, http.MethodPost, "/v1/conversations/"+conversation+"/messages",
		map[string]string{"content": "Talk."}), &started)
	requests := map[string]proto.Message{
		"AddMember": &authv1.AddMemberRequest{
			OrganizationId: s.OrganizationID, UserId: member.UserID, Roles: []string{"viewer"},
		},
		"ChangePassword": &authv1.ChangePasswordRequest{
			CurrentPassword: inprocess.AdminPassword, NewPassword: "another " + inprocess.AdminPassword,
		},
		"CreateInvitation": &authv1.CreateInvitationRequest{
			OrganizationId: s.OrganizationID, Email: "new@example.com", Roles: []string{"viewer"},
		},
		"CreateOrganization": &authv1.CreateOrganizationRequest{Organization: &authv1.Organization{DisplayName: "New"}},
		// This request follows ChangePassword, since the RPCs are called in the order of their names.
		"ChangeEmail": &authv1.ChangeEmailRequest{
			NewEmail: "other@example.com", Password: "another " + inprocess.AdminPassword,
		},
		"UndeleteOrganization": &authv1.UndeleteOrganizationRequest{Id: deletedOrganization(t, i, s)},
		"CreateUser":           &authv1.CreateUserRequest{Email: "made@example.com", Password: "another " + inprocess.AdminPassword},
		"CancelRun":            &chatv1.CancelRunRequest{Id: started.Run.ID},
		"CreateDocument": &knowledgev1.CreateDocumentRequest{
			CollectionId: collection, Title: "New", Content: "Some text.", ContentType: "text/plain",
		},
		"UploadDocument": &knowledgev1.UploadDocumentRequest{Part: &knowledgev1.UploadDocumentRequest_Header_{
			Header: &knowledgev1.UploadDocumentRequest_Header{CollectionId: collection},
		}},
	}
	for _, f := range fixtures(t) {
		maps.Copy(requests, f.repeated(t, i, s))
	}
	return requests
}

// deletedOrganization creates an organization, deletes it and returns its id.
func deletedOrganization(t *testing.T, i *inprocess.Installation, s inprocess.Session) string {
	t.Helper()
	s = i.Switch(t, s, s.OrganizationID) // the new token records the factors that the session has used
	made := i.Create(t, s, "/v1/organizations", map[string]string{"displayName": "Old"})
	inprocess.Decode(t, i.Request(t, s, http.MethodDelete, "/v1/organizations/"+made, nil), &struct{}{})
	return made
}

// checkIdempotency sends a request twice with one key, and then a different request with that key.
func checkIdempotency(t *testing.T, i *inprocess.Installation, s inprocess.Session, m catalog.Method, message proto.Message) {
	t.Helper()
	key := id.New()
	first := postWithKey(t, i, s, m, message, key)
	second := postWithKey(t, i, s, m, message, key)
	if first.status != http.StatusOK || first.replayed != "" {
		t.Errorf("%s: %d %s, replayed %q", m.FullMethod, first.status, first.body, first.replayed)
	}
	if second.status != first.status || !bytes.Equal(second.body, first.body) || second.replayed != "true" {
		t.Errorf("%s again: %d %s, replayed %q; the first response was %s", m.FullMethod, second.status, second.body, second.replayed, first.body)
	}
	other := proto.Clone(message)
	set(other.ProtoReflect(), changedField(t, string(m.Descriptor.Name())), id.New())
	if third := postWithKey(t, i, s, m, other, key); third.status != http.StatusUnprocessableEntity {
		t.Errorf("%s with another body: %d %s", m.FullMethod, third.status, third.body)
	}
}

// changedFields has, by RPC, the field that the test changes to get a different request. Most
// entities have theirs in testdata/fixtures.
var changedFields = map[string]string{
	"AddMember": "user_id", "CreateInvitation": "organization_id", "CreateOrganization": "organization.display_name",
	"ChangeEmail": "password", "ChangePassword": "new_password", "CancelRun": "id", "CreateDocument": "title",
	"UploadDocument": "header.title", "CreateUser": "password", "UndeleteOrganization": "id",
}

// keyedResponse is a response to a request with an idempotency key.
type keyedResponse struct {
	status   int
	body     []byte
	replayed string
}

// postWithKey sends a request with an idempotency key.
func postWithKey(t *testing.T, i *inprocess.Installation, s inprocess.Session, m catalog.Method, message proto.Message, key string) keyedResponse {
	t.Helper()
	method, path, contentType, body := restRequest(t, m, message)
	req, err := http.NewRequestWithContext(t.Context(), method, i.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.AccessToken)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Idempotency-Key", key)
	resp, err := inprocess.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return keyedResponse{resp.StatusCode, raw, resp.Header.Get("Idempotency-Replayed")}
}

// A response with a secret is not stored. So its RPC refuses an idempotency key, which it could
// not honor.
func TestS73RPCsThatReturnSecretsRefuseIdempotencyKeys(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	s := i.SignIn(t)
	_, secret := postMethods(t)
	bodies := map[string]string{
		"SignUp":                     `{"email": "new@example.com", "password": "a very long secret"}`,
		"SignIn":                     `{"email": "` + inprocess.AdminEmail + `", "password": "` + inprocess.AdminPassword + `"}`,
		"Refresh":                    `{"refreshToken": "any"}`,
		"SignInMfa":                  `{"challengeId": "any", "code": "123456"}`,
		"StepUp":                     `{"code": "123456"}`,
		"BeginPasskey":               `{}`,
		"FinishPasskey":              `{"challengeId": "any", "credential": {}}`,
		"BeginPasskeySignIn":         `{}`,
		"FinishPasskeySignIn":        `{"challengeId": "any", "credential": {}}`,
		"BeginEmailSignIn":           `{"email": "` + inprocess.AdminEmail + `"}`,
		"FinishEmailSignIn":          `{"token": "any"}`,
		"CreateTotp":                 `{}`,
		"CreateRecoveryCodes":        `{}`,
		"ConfirmTotp":                `{"code": "123456"}`,
		"CreateApiKey":               `{"apiKey": {"displayName": "x", "scopes": ["chat.read"]}}`,
		"RotateApiKey":               `{"id": "` + id.New() + `"}`,
		"CreateOAuthClient":          `{"oauthClient": {"displayName": "x", "scopes": ["openid"], "redirectUris": ["https://app.example/"]}}`,
		"RotateOAuthClientSecret":    `{"id": "` + id.New() + `"}`,
		"SwitchOrganization":         `{"organizationId": "` + s.OrganizationID + `"}`,
		"CreateServiceAccountApiKey": `{"organizationId": "` + s.OrganizationID + `", "serviceAccountId": "` + id.New() + `", "apiKey": {"displayName": "x", "scopes": ["chat.read"]}}`,
		"RotateServiceAccountApiKey": `{"organizationId": "` + s.OrganizationID + `", "serviceAccountId": "` + id.New() + `", "id": "` + id.New() + `"}`,
		"CreateEventsTicket":         `{"runId": "` + id.New() + `"}`,
		"BeginIdentity":              `{"provider": "any"}`,
		"BeginProviderSignIn":        `{"provider": "any"}`,
		"FinishProviderSignIn":       `{"provider": "any", "state": "any", "secret": "any", "code": "any"}`,
		"CreateIdentityProvider":     `{"organizationId": "` + s.OrganizationID + `", "identityProvider": {"issuer": "https://x.example"}}`,
	}
	for _, m := range secret {
		message := proto.Clone(request(t, m, ""))
		if err := protojson.Unmarshal([]byte(bodies[string(m.Descriptor.Name())]), message); err != nil {
			t.Fatalf("%s: %v", m.FullMethod, err)
		}
		got := postWithKey(t, i, s, m, message, "a-key")
		var problem struct{ Violations []struct{ Field string } }
		if err := json.Unmarshal(got.body, &problem); err != nil {
			t.Fatal(err)
		}
		if got.status != http.StatusBadRequest || len(problem.Violations) != 1 || !strings.EqualFold(problem.Violations[0].Field, "Idempotency-Key") {
			t.Errorf("%s: %d %s", m.FullMethod, got.status, got.body)
		}
	}
}
