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

// S46: each role is refused each RPC whose permission it lacks, about a resource
// of its own organization and with a request that would do.
func TestS46RolesAreRefusedWhatTheyLack(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	operator, owner, extra := i.SignIn(t), i.SignUp(t, "owner@example.com"), i.SignUp(t, "extra@example.com")
	own, requests := populate(t, i, owner), valid(t, i, owner, extra)
	conn, err := grpc.NewClient(strings.TrimPrefix(i.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	callers := map[string]inprocess.Session{"owner": owner}
	for _, role := range []string{"viewer", "member", "admin"} {
		callers[role] = join(t, i, operator, owner.OrganizationID, role)
	}
	holders := map[string][]string{}
	for _, p := range catalog.Permissions() {
		holders[p.GetName()] = p.GetRoles()
	}
	refused := 0
	for _, m := range catalog.Methods() {
		if !m.Public || m.Access.GetPermission() == "" {
			continue
		}
		message := requests[string(m.Descriptor.Name())]
		if message == nil && m.Access.GetResource() != "" {
			message = request(t, m, own.of(t, m))
		} else if message == nil {
			message = request(t, m, "")
		}
		for role, caller := range callers {
			if slices.Contains(holders[m.Access.GetPermission()], role) {
				continue
			}
			if st := call(as(t, caller), conn, m, message); st.Code() != codes.PermissionDenied {
				t.Errorf("%s as %s: %v %s", m.FullMethod, role, st.Code(), st.Message())
			}
			refused++
		}
	}
	if refused < 20 {
		t.Errorf("only %d refusals: the walk shows nothing", refused)
	}
}

// join signs somebody up who has one role in an organization.
func join(t *testing.T, i *inprocess.Installation, operator inprocess.Session, organizationID, role string) inprocess.Session {
	t.Helper()
	s := i.SignUp(t, role+"@example.com")
	inprocess.Decode(t, i.Request(t, operator, http.MethodPost, "/v1/organizations/"+organizationID+"/members",
		map[string]any{"userId": s.UserID, "roles": []string{role}}), &struct{}{})
	return i.Switch(t, s, organizationID)
}

func as(t *testing.T, s inprocess.Session) context.Context {
	t.Helper()
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.AccessToken)
}

// S43, S48: every table, view and function of all services, as they are installed.
func TestS48TheWholeDatabaseKeepsOrganizationsApart(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	if err := postgres.CheckTenancy(t.Context(), i.Database.AdminURL); err != nil {
		t.Error(err)
	}
}
