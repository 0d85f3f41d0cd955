package userdirectory_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestBatchGetUsers_ReturnsExistingUsers(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	_, bobs := b.SignUp(t, "Bob@example.org")
	a, err := b.CreateServiceAccount(authtest.With(t.Context(), ada), adas.OrganizationID, "viewer")
	authtest.Must(t, err)
	authtest.Must(t, b.Service.DisableUser(t.Context(), "bob@example.org", true))
	users := authv1.NewUserDirectoryServiceClient(b.Conn)
	got, err := users.BatchGetUsers(b.AsService(t, "auth"), &authv1.BatchGetUsersRequest{Ids: []string{id.New(), bobs.UserID, a.GetId(), adas.UserID}})
	authtest.Must(t, err)
	byID := map[string]*authv1.DirectoryUser{}
	for _, u := range got.GetUsers() {
		byID[u.GetId()] = u
	}
	if u := byID[bobs.UserID]; len(byID) != 3 || u.GetDisplayName() != "Bob" || u.GetEmail() != "Bob@example.org" || !u.GetDisabled() || u.GetLocale() != "en" || u.GetServiceAccount() {
		t.Errorf("returned %v", got)
	}
	if u := byID[a.GetId()]; u.GetDisplayName() != "Importer" || u.GetEmail() != "" || !u.GetServiceAccount() || u.GetDisabled() {
		t.Errorf("the service account is %v", u)
	}
	for _, ids := range [][]string{nil, {"ada"}, {adas.UserID, adas.UserID}, newIDs(101)} {
		_, err = users.BatchGetUsers(b.AsService(t, "auth"), &authv1.BatchGetUsersRequest{Ids: ids})
		authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	}
	got, err = users.BatchGetUsers(b.AsService(t, "auth"), &authv1.BatchGetUsersRequest{Ids: append(newIDs(99), adas.UserID)})
	authtest.Must(t, err)
	if len(got.GetUsers()) != 1 {
		t.Errorf("returned %v", got)
	}
}

// newIDs returns n random ids.
func newIDs(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = id.New()
	}
	return out
}

// S78: a service that works for a user later reads the user's current rights. Removed
// members are left out, and so are members of other organizations.
func TestS78BatchGetMembershipsReturnsCurrentRights(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	_, eves := b.SignUp(t, "eve@example.org")
	org, asAda := adas.OrganizationID, authtest.With(t.Context(), ada)
	custom := b.CreateRole(t, ada, "Clerk", "chat.read", "members.read")
	bob := b.Join(t, b.Operator(t), org, "bob@example.org", custom.GetId()).GetUser().GetId()
	a, err := b.CreateServiceAccount(asAda, org, "viewer")
	authtest.Must(t, err)
	sent := func() map[string]*authv1.DirectoryMembership {
		got, err := authv1.NewUserDirectoryServiceClient(b.Conn).BatchGetMemberships(b.AsService(t, "auth"), &authv1.BatchGetMembershipsRequest{
			OrganizationId: org, UserIds: []string{bob, eves.UserID, a.GetId(), id.New(), adas.UserID},
		})
		authtest.Must(t, err)
		out := map[string]*authv1.DirectoryMembership{}
		for _, m := range got.GetMemberships() {
			out[m.GetUserId()] = m
		}
		return out
	}
	before := sent()
	if m := before[bob]; len(before) != 3 || !slices.Equal(m.GetRoles(), []string{custom.GetId()}) ||
		!slices.Equal(m.GetPermissions(), []string{"chat.read", "members.read"}) || m.GetDisabled() || m.GetServiceAccount() {
		t.Errorf("returned %v", before)
	}
	if m := before[adas.UserID]; !slices.Equal(m.GetRoles(), []string{"owner"}) || !slices.Contains(m.GetPermissions(), "members.write") {
		t.Errorf("the owner is %v", m)
	}
	if m := before[a.GetId()]; !m.GetServiceAccount() || !slices.Equal(m.GetRoles(), []string{"viewer"}) {
		t.Errorf("the service account is %v", m)
	}
	authtest.Must(t, b.Service.DisableUser(t.Context(), "bob@example.org", true))
	if m := sent()[bob]; !m.GetDisabled() {
		t.Errorf("disabled, bob is %v", m)
	}
	authtest.Must(t, b.RemoveMember(asAda, org, bob))
	if after := sent(); len(after) != 2 || after[bob] != nil {
		t.Errorf("after the removal: %v", after)
	}
}

// S76: the directories return nothing to anonymous callers, to users however
// privileged, and to services whose token is for another callee.
func TestS76OnlyServicesUseDirectories(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	operator := b.Operator(t)
	userID, org := operator.GetUser().GetId(), b.Principal(t, operator).OrganizationID
	k, err := b.CreatePublishableKey(authtest.With(t.Context(), operator), "https://www.example.com")
	authtest.Must(t, err)
	users, keys := authv1.NewUserDirectoryServiceClient(b.Conn), authv1.NewPublishableKeyDirectoryServiceClient(b.Conn)
	for name, call := range map[string]func(ctx context.Context) error{
		"users": func(ctx context.Context) error {
			_, err := users.BatchGetUsers(ctx, &authv1.BatchGetUsersRequest{Ids: []string{userID}})
			return err
		},
		"memberships": func(ctx context.Context) error {
			_, err := users.BatchGetMemberships(ctx, &authv1.BatchGetMembershipsRequest{OrganizationId: org, UserIds: []string{userID}})
			return err
		},
		"publishable keys": func(ctx context.Context) error {
			_, err := keys.ResolvePublishableKey(ctx, &authv1.ResolvePublishableKeyRequest{Key: k.GetKey(), Origin: "https://www.example.com"})
			return err
		},
	} {
		if err := call(b.AsService(t, "auth")); err != nil {
			t.Errorf("%s, called by a service: %v", name, err)
		}
		for who, ctx := range map[string]context.Context{
			"nobody": t.Context(), "an operator": authtest.With(t.Context(), operator), "a service at another's door": b.AsService(t, "management"),
			"a user's token in the service's place": metadata.AppendToOutgoingContext(t.Context(), rpcserver.MetadataServiceToken, operator.GetAccessToken()),
		} {
			if err := call(ctx); !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
				t.Errorf("%s, called by %s: %v", name, who, err)
			}
		}
	}
}
