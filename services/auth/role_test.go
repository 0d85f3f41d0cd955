package auth_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func (b *bundle) createRole(t *testing.T, by *authv1.TokenResponse, name string, permissions ...string) *authv1.Role {
	t.Helper()
	r, err := b.tryRole(t, by, name, permissions...)
	must(t, err)
	return r
}

func (b *bundle) tryRole(t *testing.T, by *authv1.TokenResponse, name string, permissions ...string) (*authv1.Role, error) {
	t.Helper()
	return b.roles.CreateRole(with(t.Context(), by), &authv1.CreateRoleRequest{
		OrganizationId: b.principal(t, by).OrganizationID, Role: &authv1.Role{DisplayName: name, Permissions: permissions},
	})
}

func (b *bundle) updateRole(ctx context.Context, organizationID string, r *authv1.Role, mask ...string) (*authv1.Role, error) {
	return b.roles.UpdateRole(ctx, &authv1.UpdateRoleRequest{
		OrganizationId: organizationID, Role: r, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask},
	})
}

func (b *bundle) deleteRole(ctx context.Context, organizationID, roleID string, force bool) error {
	_, err := b.roles.DeleteRole(ctx, &authv1.DeleteRoleRequest{OrganizationId: organizationID, Id: roleID, Force: force})
	return err
}

// permissions are what a token allows, as its user is told.
func (b *bundle) permissions(t *testing.T, tokens *authv1.TokenResponse) []string {
	t.Helper()
	me, err := b.accounts.GetMe(with(t.Context(), tokens), &authv1.GetMeRequest{})
	must(t, err)
	return me.GetPermissions()
}

// refreshed is what a member's refreshed token is.
func (b *bundle) refreshed(t *testing.T, tokens *authv1.TokenResponse) *authv1.TokenResponse {
	t.Helper()
	out, err := b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	must(t, err)
	return out
}

// S22: what a role gives is in the tokens and keys of those who have it, and a
// change of it takes the force from what said otherwise.
func TestS22TheLifeOfARole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, adas := b.signUp(t, "ada@example.org")
	org, asAda := adas.OrganizationID, with(t.Context(), ada)
	r := b.createRole(t, ada, " Librarian ", "knowledge.write", "knowledge.read")
	if r.GetDisplayName() != "Librarian" || !slices.Equal(r.GetPermissions(), []string{"knowledge.read", "knowledge.write"}) {
		t.Errorf("made %v", r)
	}
	bob := b.join(t, b.operator(t), org, "bob@example.org", r.GetId())
	if p := b.principal(t, bob); !slices.Equal(p.Roles, []string{r.GetId()}) || !slices.Equal(p.Permissions, r.GetPermissions()) {
		t.Errorf("bob's token says %v, %v", p.Roles, p.Permissions)
	}
	if got := b.permissions(t, bob); !slices.Equal(got, r.GetPermissions()) {
		t.Errorf("bob may %v", got)
	}
	if p := b.principal(t, ada); len(p.Permissions) > 0 {
		t.Errorf("ada's token says %v without a custom role", p.Permissions)
	}
	secret := b.createKey(t, bob, "knowledge.write").GetSecret()

	since := clock.System().Now()
	changed, err := b.updateRole(asAda, org, &authv1.Role{Id: r.GetId(), Permissions: []string{"knowledge.read", "chat.read"}, Etag: r.GetEtag()}, "permissions")
	must(t, err)
	if changed.GetDisplayName() != "Librarian" || changed.GetEtag() == r.GetEtag() {
		t.Errorf("changed to %v", changed)
	}
	found, err := b.service.Revocations(t.Context(), since)
	must(t, err)
	if len(found) != 1 || found[0].UserID != bob.GetUser().GetId() || found[0].OrganizationID != org {
		t.Errorf("the feed says %+v", found)
	}
	k, err := b.service.APIKey(t.Context(), keys.Hash(secret))
	must(t, err)
	if bob = b.refreshed(t, bob); !slices.Equal(b.permissions(t, bob), []string{"chat.read", "knowledge.read"}) ||
		!slices.Equal(k.Permissions, []string{"chat.read", "knowledge.read"}) {
		t.Errorf("bob may %v, and the key %v", b.permissions(t, bob), k.Permissions)
	}
	// Another name ends nothing.
	since = clock.System().Now()
	_, err = b.updateRole(asAda, org, &authv1.Role{Id: r.GetId(), DisplayName: "Reader"}, "display_name")
	must(t, err)
	if found, err = b.service.Revocations(t.Context(), since); err != nil || len(found) > 0 {
		t.Errorf("the feed says %+v, %v", found, err)
	}

	wantReason(t, b.deleteRole(asAda, org, r.GetId(), false), faultv1.Reason_REASON_NOT_EMPTY)
	must(t, b.deleteRole(asAda, org, r.GetId(), true))
	if found, err = b.service.Revocations(t.Context(), since); err != nil || len(found) != 1 || found[0].UserID != bob.GetUser().GetId() {
		t.Errorf("the feed says %+v, %v", found, err)
	}
	if p := b.principal(t, b.refreshed(t, bob)); !slices.Equal(p.Roles, []string{"viewer"}) || len(p.Permissions) > 0 {
		t.Errorf("bob's roles are %v, %v", p.Roles, p.Permissions)
	}
	_, err = b.roles.GetRole(asAda, &authv1.GetRoleRequest{OrganizationId: org, Id: r.GetId()})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	wantActions(t, b, org, "auth.user.created", "auth.session.created", "auth.role.created", "auth.member.added", "auth.session.created",
		"auth.api_key.created", "auth.role.updated", "auth.role.updated", "auth.role.deleted")
}

// A member who has another role keeps that one; an invitation loses a role as a
// member does.
func TestADeletedRoleLeavesNobodyWithoutOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, adas := b.signUp(t, "ada@example.org")
	org, asAda := adas.OrganizationID, with(t.Context(), ada)
	r := b.createRole(t, ada, "Guest", "chat.read")
	invitation, err := b.invitations.CreateInvitation(asAda, &authv1.CreateInvitationRequest{OrganizationId: org, Email: "eve@example.org", Roles: []string{r.GetId()}})
	must(t, err)
	wantReason(t, b.deleteRole(asAda, org, r.GetId(), false), faultv1.Reason_REASON_NOT_EMPTY)
	bob := b.join(t, b.operator(t), org, "bob@example.org", "member", r.GetId())
	must(t, b.deleteRole(asAda, org, r.GetId(), true))
	if p := b.principal(t, b.refreshed(t, bob)); !slices.Equal(p.Roles, []string{"member"}) {
		t.Errorf("bob's roles are %v", p.Roles)
	}
	list, err := b.invitations.ListInvitations(asAda, &authv1.ListInvitationsRequest{OrganizationId: org})
	must(t, err)
	if got := list.GetInvitations()[0]; got.GetId() != invitation.GetId() || !slices.Equal(got.GetRoles(), []string{"viewer"}) {
		t.Errorf("the invitation gives %v", got.GetRoles())
	}
}

// S45, S46: nobody makes, changes, deletes or gives a role that gives more than
// they have.
func TestS45RolesGiveNoMoreThanTheirMakerHas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, adas := b.signUp(t, "ada@example.org")
	operator, org, asAda := b.operator(t), adas.OrganizationID, with(t.Context(), ada)
	clerkRole := b.createRole(t, ada, "Clerk", "members.read", "members.write", "roles.read", "roles.write", "chat.read")
	high := b.createRole(t, ada, "High", "assistants.write", "chat.read")
	low := b.createRole(t, ada, "Low", "chat.read")
	clerk := b.join(t, operator, org, "clerk@example.org", clerkRole.GetId())
	member := b.join(t, operator, org, "member@example.org", "member")
	guest := b.join(t, operator, org, "guest@example.org", low.GetId())
	asClerk, guestID, clerkID := with(t.Context(), clerk), guest.GetUser().GetId(), clerk.GetUser().GetId()

	_, err := b.tryRole(t, member, "Mine", "chat.read")
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	b.createRole(t, clerk, "Mine", "chat.read")
	_, err = b.tryRole(t, clerk, "More", "chat.read", "chat.write")
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = b.updateRole(asClerk, org, &authv1.Role{Id: low.GetId(), Permissions: []string{"chat.write"}}, "permissions")
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	// Its own role neither.
	_, err = b.updateRole(asClerk, org, &authv1.Role{Id: clerkRole.GetId(), Permissions: []string{"organizations.write"}}, "permissions")
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	for _, mask := range []string{"display_name", "permissions"} {
		_, err = b.updateRole(asClerk, org, &authv1.Role{Id: high.GetId(), DisplayName: "x", Permissions: []string{"chat.read"}}, mask)
		wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	}
	wantReason(t, b.deleteRole(asClerk, org, high.GetId(), false), faultv1.Reason_REASON_PERMISSION_DENIED)
	// The guest would become a viewer, who may more than the clerk.
	wantReason(t, b.deleteRole(asClerk, org, low.GetId(), true), faultv1.Reason_REASON_PERMISSION_DENIED)

	for _, roles := range [][]string{{"owner"}, {"admin"}, {"member"}, {"viewer"}, {high.GetId()}, {low.GetId(), high.GetId()}} {
		wantReason(t, b.updateMember(asClerk, org, guestID, roles...), faultv1.Reason_REASON_PERMISSION_DENIED)
		wantReason(t, b.updateMember(asClerk, org, clerkID, roles...), faultv1.Reason_REASON_PERMISSION_DENIED)
		_, err = b.invitations.CreateInvitation(asClerk, &authv1.CreateInvitationRequest{OrganizationId: org, Email: "x@example.org", Roles: roles})
		wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	}
	wantReason(t, b.removeMember(asClerk, org, member.GetUser().GetId()), faultv1.Reason_REASON_PERMISSION_DENIED)
	must(t, b.updateMember(asClerk, org, guestID, clerkRole.GetId()))
	must(t, b.updateMember(asClerk, org, guestID, low.GetId()))

	// A demotion counts before its token has ended.
	must(t, b.updateMember(asAda, org, clerkID, "viewer"))
	_, err = b.tryRole(t, clerk, "Late", "chat.read")
	wantReason(t, err, faultv1.Reason_REASON_CONFLICT)
}

// S44, S45: what a role cannot be is refused on its field, and nothing but its
// three fields can be changed.
func TestRolesThatCannotBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, adas := b.signUp(t, "ada@example.org")
	org, asAda := adas.OrganizationID, with(t.Context(), ada)
	operator := b.operator(t)
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
		_, err := b.tryRole(t, tc.by, tc.name, tc.permissions...)
		wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != tc.field {
			t.Errorf("%s: violations %+v", name, v)
		}
	}
	r := b.createRole(t, ada, "Guest", "chat.read")
	_, err := b.tryRole(t, ada, "guest", "chat.read")
	wantReason(t, err, faultv1.Reason_REASON_ALREADY_EXISTS)
	b.createRole(t, operator, "Guest", "chat.read") // elsewhere
	_, err = b.updateRole(asAda, org, &authv1.Role{Id: r.GetId(), Etag: "stale", DisplayName: "x"}, "display_name")
	wantReason(t, err, faultv1.Reason_REASON_ETAG_MISMATCH)
	for _, path := range []string{"id", "etag", "create_time", "organization_id"} {
		_, err = b.updateRole(asAda, org, &authv1.Role{Id: r.GetId()}, path)
		wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	}
	_, err = b.updateRole(asAda, org, &authv1.Role{Id: r.GetId()}, "permissions")
	wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	for _, other := range []string{"operator", strings.ToUpper(r.GetId()), "root", ""} {
		wantReason(t, b.updateMember(asAda, org, adas.UserID, "owner", other), faultv1.Reason_REASON_INVALID_ARGUMENT)
	}
	b.database.AdminExec(t, `INSERT INTO auth.roles SELECT organization_id, gen_random_uuid(), 'role ' || n, '', permissions, 1, created_at, created_at
		FROM auth.roles, generate_series(1, 99) AS n WHERE id = $1`, r.GetId())
	_, err = b.tryRole(t, ada, "One too many", "chat.read")
	wantReason(t, err, faultv1.Reason_REASON_CONFLICT)
}

// S41, S43: a role of another organization is as if absent: to read, to change,
// and to give.
func TestS41ForeignRolesAreAbsent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, adas := b.signUp(t, "ada@example.org")
	eve, eves := b.signUp(t, "eve@example.org")
	r := b.createRole(t, ada, "Theirs", "chat.read")
	bob := b.join(t, b.operator(t), eves.OrganizationID, "bob@example.org", "viewer")
	asEve, own := with(t.Context(), eve), eves.OrganizationID
	for name, call := range map[string]func(roleID string) error{
		"get": func(roleID string) error {
			_, err := b.roles.GetRole(asEve, &authv1.GetRoleRequest{OrganizationId: own, Id: roleID})
			return err
		},
		"update": func(roleID string) error {
			_, err := b.updateRole(asEve, own, &authv1.Role{Id: roleID, DisplayName: "x"}, "display_name")
			return err
		},
		"delete": func(roleID string) error { return b.deleteRole(asEve, own, roleID, true) },
		"give":   func(roleID string) error { return b.updateMember(asEve, own, bob.GetUser().GetId(), roleID) },
		"invite": func(roleID string) error {
			_, err := b.invitations.CreateInvitation(asEve, &authv1.CreateInvitationRequest{OrganizationId: own, Email: "x@example.org", Roles: []string{"viewer", roleID}})
			return err
		},
		"add": func(roleID string) error {
			_, err := b.organizations.AddMember(with(t.Context(), b.operator(t)), &authv1.AddMemberRequest{OrganizationId: own, UserId: adas.UserID, Roles: []string{roleID}})
			return err
		},
	} {
		foreign, absent := fault.From(call(r.GetId())), fault.From(call(id.New()))
		if foreign == nil || absent == nil || foreign.Error() != absent.Error() ||
			foreign.Reason() != faultv1.Reason_REASON_NOT_FOUND && foreign.Reason() != faultv1.Reason_REASON_INVALID_ARGUMENT {
			t.Errorf("%s: %v, and of nothing %v", name, foreign, absent)
		}
	}
	list, err := b.roles.ListRoles(asEve, &authv1.ListRolesRequest{OrganizationId: own})
	must(t, err)
	if len(list.GetRoles()) > 0 {
		t.Errorf("listed %v", list)
	}
	_, err = b.roles.ListRoles(asEve, &authv1.ListRolesRequest{OrganizationId: adas.OrganizationID})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
}

func TestRolesPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, adas := b.signUp(t, "ada@example.org")
	for _, name := range []string{"One", "Two", "Three"} {
		b.createRole(t, ada, name, "chat.read")
	}
	viewer := b.join(t, b.operator(t), adas.OrganizationID, "bob@example.org", "viewer")
	var names []string
	for token := ""; ; {
		page, err := b.roles.ListRoles(with(t.Context(), viewer), &authv1.ListRolesRequest{OrganizationId: adas.OrganizationID, PageSize: 2, PageToken: token})
		must(t, err)
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
