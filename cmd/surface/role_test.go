package surface_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/proto/catalog"
)

// S46: each RPC refuses the roles without its permission, although the request is valid and names
// a resource of the caller's organization.
func TestS46RolesWithoutThePermissionAreRefused(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	operator, owner, extra := i.SignIn(t), i.SignUp(t, "owner@example.com"), i.SignUp(t, "extra@example.com")
	own, requests := populate(t, i, owner), validRequests(t, i, owner, extra)
	conn, err := grpc.NewClient(strings.TrimPrefix(i.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	callers := map[string]inprocess.Session{"owner": owner}
	for _, role := range []string{"viewer", "member", "admin"} {
		callers[role] = signUpWithRole(t, i, operator, owner.OrganizationID, role)
	}
	rolesOf := map[string][]string{}
	for _, p := range catalog.Permissions() {
		rolesOf[p.GetName()] = p.GetRoles()
	}
	refused := 0
	for _, m := range catalog.Methods() {
		if !m.Public || m.Access.GetPermission() == "" {
			continue
		}
		message := requests[string(m.Descriptor.Name())]
		if message == nil && m.Access.GetResource() != "" {
			message = request(t, m, own.idFor(t, m))
		} else if message == nil {
			message = request(t, m, "")
		}
		for role, caller := range callers {
			if slices.Contains(rolesOf[m.Access.GetPermission()], role) {
				continue
			}
			if st := call(withToken(t, caller), conn, m, message); st.Code() != codes.PermissionDenied {
				t.Errorf("%s as %s: %v %s", m.FullMethod, role, st.Code(), st.Message())
			}
			refused++
		}
	}
	if refused < 20 {
		t.Errorf("only %d refusals: the test proves nothing", refused)
	}
}

// signUpWithRole signs up a user with one role in an organization.
func signUpWithRole(t *testing.T, i *inprocess.Installation, operator inprocess.Session, organizationID, role string) inprocess.Session {
	t.Helper()
	s := i.SignUp(t, role+"@example.com")
	inprocess.Decode(t, i.Request(t, operator, http.MethodPost, "/v1/organizations/"+organizationID+"/members",
		map[string]any{"userId": s.UserID, "roles": []string{role}}), &struct{}{})
	return i.Switch(t, s, organizationID)
}

// withToken returns a context for gRPC calls with the access token of a session.
func withToken(t *testing.T, s inprocess.Session) context.Context {
	t.Helper()
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.AccessToken)
}

// S43, S48: the check runs on every table, view and function of all services, as installed.
func TestS48DatabaseSeparatesOrganizations(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	if err := postgres.CheckTenancy(t.Context(), i.Database.AdminURL); err != nil {
		t.Error(err)
	}
}
