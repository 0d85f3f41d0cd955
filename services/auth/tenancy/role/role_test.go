package role_test

import (
	"slices"
	"strings"
	"testing"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// S22: tokens and keys contain what a role gives, and a change of the role revokes
// those with the old rights.
func TestS22RoleChangesReachTokensAndKeys(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	org, asAda := adas.OrganizationID, authtest.With(t.Context(), ada)
	r := b.CreateRole(t, ada, " Librarian ", "knowledge.write", "knowledge.read")
	if r.GetDisplayName() != "Librarian" || !slices.Equal(r.GetPermissions(), []string{"knowledge.read", "knowledge.write"}) {
		t.Errorf("created %v", r)
	}
	bob := b.Join(t, b.Operator(t), org, "bob@example.org", r.GetId())
	if p := b.Principal(t, bob); !slices.Equal(p.Roles, []string{r.GetId()}) || !slices.Equal(p.Permissions, r.GetPermissions()) {
		t.Errorf("bob's token has %v, %v", p.Roles, p.Permissions)
	}
	if got := b.Permissions(t, bob); !slices.Equal(got, r.GetPermissions()) {
		t.Errorf("bob may %v", got)
	}
	if p := b.Principal(t, ada); len(p.Permissions) > 0 {
		t.Errorf("ada's token has %v without a custom role", p.Permissions)
	}
	secret := b.CreateKey(t, bob, "knowledge.write").GetSecret()

	since := clock.System().Now()
	changed, err := b.UpdateRole(asAda, org, &authv1.Role{Id: r.GetId(), Permissions: []string{"knowledge.read", "chat.read"}, Etag: r.GetEtag()}, "permissions")
	authtest.Must(t, err)
	if changed.GetDisplayName() != "Librarian" || changed.GetEtag() == r.GetEtag() {
		t.Errorf("changed to %v", changed)
	}
	found, err := b.Service.Revocations(t.Context(), since)
	authtest.Must(t, err)
	if len(found) != 1 || found[0].UserID != bob.GetUser().GetId() || found[0].OrganizationID != org {
		t.Errorf("the feed has %+v", found)
	}
	k, err := b.Service.APIKey(t.Context(), keys.Hash(secret))
	authtest.Must(t, err)
	if bob = b.Refreshed(t, bob); !slices.Equal(b.Permissions(t, bob), []string{"chat.read", "knowledge.read"}) ||
		!slices.Equal(k.Permissions, []string{"chat.read", "knowledge.read"}) {
		t.Errorf("bob may %v, and the key %v", b.Permissions(t, bob), k.Permissions)
	}
	// Another name revokes nothing.
	since = clock.System().Now()
	_, err = b.UpdateRole(asAda, org, &authv1.Role{Id: r.GetId(), DisplayName: "Reader"}, "display_name")
	authtest.Must(t, err)
	if found, err = b.Service.Revocations(t.Context(), since); err != nil || len(found) > 0 {
		t.Errorf("the feed has %+v, %v", found, err)
	}

	authtest.WantReason(t, b.DeleteRole(asAda, org, r.GetId(), false), faultv1.Reason_REASON_NOT_EMPTY)
	authtest.Must(t, b.DeleteRole(asAda, org, r.GetId(), true))
	if found, err = b.Service.Revocations(t.Context(), since); err != nil || len(found) != 1 || found[0].UserID != bob.GetUser().GetId() {
		t.Errorf("the feed has %+v, %v", found, err)
	}
	if p := b.Principal(t, b.Refreshed(t, bob)); !slices.Equal(p.Roles, []string{"viewer"}) || len(p.Permissions) > 0 {
		t.Errorf("bob's roles are %v, %v", p.Roles, p.Permissions)
	}
	_, err = b.Roles.GetRole(asAda, &authv1.GetRoleRequest{OrganizationId: org, Id: r.GetId()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	authtest.WantActions(t, b, org, "auth.user.created", "auth.session.created", "auth.role.created", "auth.member.added", "auth.session.created",
		"auth.api_key.created", "auth.role.updated", "auth.role.updated", "auth.role.deleted")
}

// A member with another role keeps that one. An invitation loses a role as a member
// does.
func TestDeleteRole_HoldersWithoutAnother_BecomeViewers(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	org, asAda := adas.OrganizationID, authtest.With(t.Context(), ada)
	r := b.CreateRole(t, ada, "Guest", "chat.read")
	invitation, err := b.Invitations.CreateInvitation(asAda, &authv1.CreateInvitationRequest{OrganizationId: org, Email: "eve@example.org", Roles: []string{r.GetId()}})
	authtest.Must(t, err)
	authtest.WantReason(t, b.DeleteRole(asAda, org, r.GetId(), false), faultv1.Reason_REASON_NOT_EMPTY)
	bob := b.Join(t, b.Operator(t), org, "bob@example.org", "member", r.GetId())
	authtest.Must(t, b.DeleteRole(asAda, org, r.GetId(), true))
	if p := b.Principal(t, b.Refreshed(t, bob)); !slices.Equal(p.Roles, []string{"member"}) {
		t.Errorf("bob's roles are %v", p.Roles)
	}
	list, err := b.Invitations.ListInvitations(asAda, &authv1.ListInvitationsRequest{OrganizationId: org})
	authtest.Must(t, err)
	if got := list.GetInvitations()[0]; got.GetId() != invitation.GetId() || !slices.Equal(got.GetRoles(), []string{"viewer"}) {
		t.Errorf("the invitation gives %v", got.GetRoles())
	}
}

// S45, S46: nobody creates, changes, deletes or gives a role that gives more than they
// have.
func TestS45RoleCannotExceedCaller(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	operator, org, asAda := b.Operator(t), adas.OrganizationID, authtest.With(t.Context(), ada)
	clerkRole := b.CreateRole(t, ada, "Clerk", "members.read", "members.write", "roles.read", "roles.write", "chat.read")
	high := b.CreateRole(t, ada, "High", "assistants.write", "chat.read")
	low := b.CreateRole(t, ada, "Low", "chat.read")
	clerk := b.Join(t, operator, org, "clerk@example.org", clerkRole.GetId())
	member := b.Join(t, operator, org, "member@example.org", "member")
	guest := b.Join(t, operator, org, "guest@example.org", low.GetId())
	asClerk, guestID, clerkID := authtest.With(t.Context(), clerk), guest.GetUser().GetId(), clerk.GetUser().GetId()

	_, err := b.TryRole(t, member, "Mine", "chat.read")
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	b.CreateRole(t, clerk, "Mine", "chat.read")
	_, err = b.TryRole(t, clerk, "More", "chat.read", "chat.write")
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = b.UpdateRole(asClerk, org, &authv1.Role{Id: low.GetId(), Permissions: []string{"chat.write"}}, "permissions")
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	// Not even the caller's own role.
	_, err = b.UpdateRole(asClerk, org, &authv1.Role{Id: clerkRole.GetId(), Permissions: []string{"organizations.write"}}, "permissions")
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	for _, mask := range []string{"display_name", "permissions"} {
		_, err = b.UpdateRole(asClerk, org, &authv1.Role{Id: high.GetId(), DisplayName: "x", Permissions: []string{"chat.read"}}, mask)
		authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	}
	authtest.WantReason(t, b.DeleteRole(asClerk, org, high.GetId(), false), faultv1.Reason_REASON_PERMISSION_DENIED)
	// The guest would become a viewer, who has more rights than the clerk.
	authtest.WantReason(t, b.DeleteRole(asClerk, org, low.GetId(), true), faultv1.Reason_REASON_PERMISSION_DENIED)

	for _, roles := range [][]string{{"owner"}, {"admin"}, {"member"}, {"viewer"}, {high.GetId()}, {low.GetId(), high.GetId()}} {
		authtest.WantReason(t, b.UpdateMember(asClerk, org, guestID, roles...), faultv1.Reason_REASON_PERMISSION_DENIED)
		authtest.WantReason(t, b.UpdateMember(asClerk, org, clerkID, roles...), faultv1.Reason_REASON_PERMISSION_DENIED)
		_, err = b.Invitations.CreateInvitation(asClerk, &authv1.CreateInvitationRequest{OrganizationId: org, Email: "x@example.org", Roles: roles})
		authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	}
	authtest.WantReason(t, b.RemoveMember(asClerk, org, member.GetUser().GetId()), faultv1.Reason_REASON_PERMISSION_DENIED)
	authtest.Must(t, b.UpdateMember(asClerk, org, guestID, clerkRole.GetId()))
	authtest.Must(t, b.UpdateMember(asClerk, org, guestID, low.GetId()))

	// A demotion takes effect before the token is refused.
	authtest.Must(t, b.UpdateMember(asAda, org, clerkID, "viewer"))
	_, err = b.TryRole(t, clerk, "Late", "chat.read")
	authtest.WantReason(t, err, faultv1.Reason_REASON_CONFLICT)
}

// S44, S45: an invalid role is refused with the field that is wrong, and only its three
// fields can be changed.
func TestCreateRole_InvalidField_IsRefused(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	org, asAda := adas.OrganizationID, authtest.With(t.Context(), ada)
	operator := b.Operator(t)
	for name, tc := range map[string]struct {
		by          *authv1.TokenResponse
		name, field string
		permissions []string
	}{
		"nameless":                {ada, " ", "role.displayName", []string{"chat.read"}},
		"built in":                {ada, "Owner", "role.displayName", []string{"chat.read"}},
		"built in, in full width": {ada, "ｏｐｅｒａｔｏｒ", "role.displayName", []string{"chat.read"}},
		"empty":                   {ada, "x", "role.permissions", nil},
		"unknown":                 {ada, "x", "role.permissions", []string{"chat.read", "everything"}},
		"the operators' by one":   {operator, "x", "role.permissions", []string{"organizations.operate"}},
		"the operators'":          {ada, "x", "role.permissions", []string{"organizations.operate"}},
		"twice":                   {ada, "x", "role.permissions", []string{"chat.read", "chat.read"}},
	} {
		_, err := b.TryRole(t, tc.by, tc.name, tc.permissions...)
		authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != tc.field {
			t.Errorf("%s: violations %+v", name, v)
		}
	}
	r := b.CreateRole(t, ada, "Guest", "chat.read")
	_, err := b.TryRole(t, ada, "guest", "chat.read")
	authtest.WantReason(t, err, faultv1.Reason_REASON_ALREADY_EXISTS)
	b.CreateRole(t, operator, "Guest", "chat.read") // in another organization
	_, err = b.UpdateRole(asAda, org, &authv1.Role{Id: r.GetId(), Etag: "stale", DisplayName: "x"}, "display_name")
	authtest.WantReason(t, err, faultv1.Reason_REASON_ETAG_MISMATCH)
	for _, path := range []string{"id", "etag", "create_time", "organization_id"} {
		_, err = b.UpdateRole(asAda, org, &authv1.Role{Id: r.GetId()}, path)
		authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	}
	_, err = b.UpdateRole(asAda, org, &authv1.Role{Id: r.GetId()}, "permissions")
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	for _, other := range []string{"operator", strings.ToUpper(r.GetId()), "root", ""} {
		authtest.WantReason(t, b.UpdateMember(asAda, org, adas.UserID, "owner", other), faultv1.Reason_REASON_INVALID_ARGUMENT)
	}
	b.Database.AdminExec(t, `INSERT INTO auth.roles SELECT organization_id, gen_random_uuid(), 'role ' || n, '', permissions, 1, created_at, created_at
		FROM auth.roles, generate_series(1, 99) AS n WHERE id = $1`, r.GetId())
	_, err = b.TryRole(t, ada, "One too many", "chat.read")
	authtest.WantReason(t, err, faultv1.Reason_REASON_CONFLICT)
}

// S41, S43: a role of another organization does not exist for the caller: it cannot be
// read, changed or given.
func TestS41RoleOfOtherOrganizationIsNotFound(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	eve, eves := b.SignUp(t, "eve@example.org")
	r := b.CreateRole(t, ada, "Theirs", "chat.read")
	bob := b.Join(t, b.Operator(t), eves.OrganizationID, "bob@example.org", "viewer")
	asEve, own := authtest.With(t.Context(), eve), eves.OrganizationID
	for name, call := range map[string]func(roleID string) error{
		"get": func(roleID string) error {
			_, err := b.Roles.GetRole(asEve, &authv1.GetRoleRequest{OrganizationId: own, Id: roleID})
			return err
		},
		"update": func(roleID string) error {
			_, err := b.UpdateRole(asEve, own, &authv1.Role{Id: roleID, DisplayName: "x"}, "display_name")
			return err
		},
		"delete": func(roleID string) error { return b.DeleteRole(asEve, own, roleID, true) },
		"give":   func(roleID string) error { return b.UpdateMember(asEve, own, bob.GetUser().GetId(), roleID) },
		"invite": func(roleID string) error {
			_, err := b.Invitations.CreateInvitation(asEve, &authv1.CreateInvitationRequest{OrganizationId: own, Email: "x@example.org", Roles: []string{"viewer", roleID}})
			return err
		},
		"add": func(roleID string) error {
			_, err := b.Organizations.AddMember(authtest.With(t.Context(), b.Operator(t)), &authv1.AddMemberRequest{OrganizationId: own, UserId: adas.UserID, Roles: []string{roleID}})
			return err
		},
	} {
		foreign, absent := fault.From(call(r.GetId())), fault.From(call(id.New()))
		if foreign == nil || absent == nil || foreign.Error() != absent.Error() ||
			foreign.Reason() != faultv1.Reason_REASON_NOT_FOUND && foreign.Reason() != faultv1.Reason_REASON_INVALID_ARGUMENT {
			t.Errorf("%s: %v, but for an unknown id %v", name, foreign, absent)
		}
	}
	list, err := b.Roles.ListRoles(asEve, &authv1.ListRolesRequest{OrganizationId: own})
	authtest.Must(t, err)
	if len(list.GetRoles()) > 0 {
		t.Errorf("listed %v", list)
	}
	_, err = b.Roles.ListRoles(asEve, &authv1.ListRolesRequest{OrganizationId: adas.OrganizationID})
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
}

func TestListRoles_ReturnsAllPages(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	for _, name := range []string{"One", "Two", "Three"} {
		b.CreateRole(t, ada, name, "chat.read")
	}
	viewer := b.Join(t, b.Operator(t), adas.OrganizationID, "bob@example.org", "viewer")
	var names []string
	for token := ""; ; {
		page, err := b.Roles.ListRoles(authtest.With(t.Context(), viewer), &authv1.ListRolesRequest{OrganizationId: adas.OrganizationID, PageSize: 2, PageToken: token})
		authtest.Must(t, err)
		for _, r := range page.GetRoles() {
			names = append(names, r.GetDisplayName())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if !slices.Equal(names, []string{"One", "Two", "Three"}) {
		t.Errorf("listed %v", names)
	}
}
