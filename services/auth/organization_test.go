package auth_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// join makes the operator add a new account to an organization, and answers the
// account's tokens there.
func (b *bundle) join(t *testing.T, operator *authv1.TokenResponse, organizationID, email string, roles ...string) *authv1.TokenResponse {
	t.Helper()
	tokens, p := b.signUp(t, email)
	_, err := b.organizations.AddMember(with(t.Context(), operator), &authv1.AddMemberRequest{
		OrganizationId: organizationID, UserId: p.UserID, Roles: roles,
	})
	must(t, err)
	switched, err := b.sessions.SwitchOrganization(with(t.Context(), tokens), &authv1.SwitchOrganizationRequest{OrganizationId: organizationID})
	must(t, err)
	return switched
}

func (b *bundle) updateMember(ctx context.Context, organizationID, userID string, roles ...string) error {
	_, err := b.organizations.UpdateMember(ctx, &authv1.UpdateMemberRequest{OrganizationId: organizationID, UserId: userID, Roles: roles})
	return err
}

func (b *bundle) removeMember(ctx context.Context, organizationID, userID string) error {
	_, err := b.organizations.RemoveMember(ctx, &authv1.RemoveMemberRequest{OrganizationId: organizationID, UserId: userID})
	return err
}

func TestOperatorIsMadeOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i, want := range []bool{true, false} {
		created, err := b.service.EnsureOperator(t.Context())
		if err != nil || created != want {
			t.Errorf("call %d: created %t, %v", i, created, err)
		}
	}
	tokens := b.signIn(t, "root@example.org")
	if p := b.principal(t, tokens); !slices.Equal(p.Roles, []string{"owner", "operator"}) {
		t.Errorf("the operator's roles are %v", p.Roles)
	}
	me, err := b.accounts.GetMe(with(t.Context(), tokens), &authv1.GetMeRequest{})
	must(t, err)
	if !slices.Contains(me.GetPermissions(), "organizations.operate") {
		t.Errorf("the operator may %v", me.GetPermissions())
	}
}

func TestGetMe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, ada := b.signUp(t, "ada@example.org")
	bob := b.join(t, b.operator(t), ada.OrganizationID, "bob@example.org", "viewer")
	me, err := b.accounts.GetMe(with(t.Context(), bob), &authv1.GetMeRequest{})
	must(t, err)
	if me.GetOrganizationId() != ada.OrganizationID || !slices.Equal(me.GetRoles(), []string{"viewer"}) ||
		!slices.Contains(me.GetPermissions(), "members.read") || slices.Contains(me.GetPermissions(), "members.write") {
		t.Errorf("bob is %v", me)
	}
	if got := me.GetOrganizations(); len(got) != 2 || got[0].GetDisplayName() != "ada" || got[1].GetDisplayName() != "bob" {
		t.Errorf("bob belongs to %v", got)
	}
	_, err = b.accounts.GetMe(t.Context(), &authv1.GetMeRequest{})
	wantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
}

// S21, S45, S46: roles bound what members do to each other, at once; a member
// that was removed is not refreshed.
func TestMembersAndRoles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	adaTokens, ada := b.signUp(t, "ada@example.org")
	operator, org := b.operator(t), ada.OrganizationID
	admin := b.join(t, operator, org, "admin@example.org", "admin")
	member := b.join(t, operator, org, "member@example.org", "member")
	adminID, memberID := admin.GetUser().GetId(), member.GetUser().GetId()
	asOwner, asAdmin, asMember := with(t.Context(), adaTokens), with(t.Context(), admin), with(t.Context(), member)

	wantReason(t, b.updateMember(asMember, org, memberID, "admin"), faultv1.Reason_REASON_PERMISSION_DENIED)
	wantReason(t, b.updateMember(asAdmin, org, memberID, "owner"), faultv1.Reason_REASON_PERMISSION_DENIED)
	wantReason(t, b.updateMember(asAdmin, org, ada.UserID, "viewer"), faultv1.Reason_REASON_PERMISSION_DENIED)
	wantReason(t, b.removeMember(asAdmin, org, ada.UserID), faultv1.Reason_REASON_PERMISSION_DENIED)
	wantReason(t, b.removeMember(asMember, org, adminID), faultv1.Reason_REASON_PERMISSION_DENIED)
	wantReason(t, b.updateMember(asAdmin, org, id.New(), "viewer"), faultv1.Reason_REASON_NOT_FOUND)
	must(t, b.updateMember(asAdmin, org, memberID, "viewer"))

	// A token lives on; rights are those of the database.
	must(t, b.updateMember(asOwner, org, adminID, "viewer"))
	wantReason(t, b.updateMember(asAdmin, org, memberID, "member"), faultv1.Reason_REASON_CONFLICT)

	must(t, b.removeMember(asMember, org, memberID))
	_, err := b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: member.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	wantReason(t, b.removeMember(asMember, org, adminID), faultv1.Reason_REASON_NOT_FOUND)

	_, err = b.organizations.AddMember(asOwner, &authv1.AddMemberRequest{OrganizationId: org, UserId: memberID, Roles: []string{"viewer"}})
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	for reason, req := range map[faultv1.Reason]*authv1.AddMemberRequest{
		faultv1.Reason_REASON_ALREADY_EXISTS:   {OrganizationId: org, UserId: adminID, Roles: []string{"viewer"}},
		faultv1.Reason_REASON_NOT_FOUND:        {OrganizationId: org, UserId: id.New(), Roles: []string{"viewer"}},
		faultv1.Reason_REASON_INVALID_ARGUMENT: {OrganizationId: org, UserId: memberID, Roles: []string{"operator"}},
	} {
		_, err = b.organizations.AddMember(with(t.Context(), operator), req)
		wantReason(t, err, reason)
	}
}

func TestS45TheLastOwnerStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	adaTokens, ada := b.signUp(t, "ada@example.org")
	asAda, org := with(t.Context(), adaTokens), ada.OrganizationID
	wantReason(t, b.updateMember(asAda, org, ada.UserID, "admin"), faultv1.Reason_REASON_LAST_OWNER)
	wantReason(t, b.removeMember(asAda, org, ada.UserID), faultv1.Reason_REASON_LAST_OWNER)

	bob := b.join(t, b.operator(t), org, "bob@example.org", "owner")
	// Both leave at once: one must stay.
	errs := make([]error, 2)
	var group sync.WaitGroup
	group.Go(func() { errs[0] = b.removeMember(asAda, org, ada.UserID) })
	group.Go(func() { errs[1] = b.removeMember(with(t.Context(), bob), org, bob.GetUser().GetId()) })
	group.Wait()
	left := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(left) != 1 || !fault.Is(left[0], faultv1.Reason_REASON_LAST_OWNER) {
		t.Errorf("the two were refused %v", left)
	}
}

func TestS45WhoeverBecomesTheLastOwnerMeanwhileStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens, ada := b.signUp(t, "ada@example.org")
	org, _ := b.sharedOrganization(t, tokens, "Engines")
	bob := b.join(t, b.operator(t), org, "bob@example.org", "member")
	conn, err := pgx.Connect(t.Context(), b.database.AdminURL)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	exec := func(sql string, args ...any) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql, args...)
		must(t, err)
	}
	exec("BEGIN")
	exec("SELECT FROM auth.organizations WHERE id = $1 FOR UPDATE", org)
	left := make(chan error, 1)
	go func() { left <- b.deleteMe(with(t.Context(), bob)) }()
	waitFor(t, func() bool {
		return adminText(t, b, "SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == "1"
	})
	exec("UPDATE auth.memberships SET roles = ARRAY [CASE WHEN user_id = $2 THEN 'admin' ELSE 'owner' END] WHERE organization_id = $1",
		org, ada.UserID)
	exec("COMMIT")
	wantReason(t, <-left, faultv1.Reason_REASON_LAST_OWNER)
}

func TestS41AnotherOrganizationIsAbsent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, ada := b.signUp(t, "ada@example.org")
	eve, _ := b.signUp(t, "eve@example.org")
	asEve := with(t.Context(), eve)
	calls := map[string]func(id string) error{
		"get": func(id string) error {
			_, err := b.organizations.GetOrganization(asEve, &authv1.GetOrganizationRequest{Id: id})
			return err
		},
		"members": func(id string) error {
			_, err := b.organizations.ListMembers(asEve, &authv1.ListMembersRequest{OrganizationId: id})
			return err
		},
		"update": func(id string) error { return b.updateMember(asEve, id, ada.UserID, "viewer") },
		"remove": func(id string) error { return b.removeMember(asEve, id, ada.UserID) },
		"switch": func(id string) error {
			_, err := b.sessions.SwitchOrganization(asEve, &authv1.SwitchOrganizationRequest{OrganizationId: id})
			return err
		},
	}
	for name, call := range calls {
		foreign, absent := call(ada.OrganizationID), call(id.New())
		wantReason(t, foreign, faultv1.Reason_REASON_NOT_FOUND)
		wantReason(t, absent, faultv1.Reason_REASON_NOT_FOUND)
		if fault.From(foreign).Detail() != fault.From(absent).Detail() || fault.From(foreign).Detail() != "no such organization" {
			t.Errorf("%s answers %v and %v", name, foreign, absent)
		}
	}
}

func TestListsPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	adaTokens, ada := b.signUp(t, "ada@example.org")
	bob := b.join(t, b.operator(t), ada.OrganizationID, "bob@example.org", "member")
	var emails, names []string
	for token := ""; ; {
		page, err := b.organizations.ListMembers(with(t.Context(), adaTokens),
			&authv1.ListMembersRequest{OrganizationId: ada.OrganizationID, PageSize: 1, PageToken: token})
		must(t, err)
		for _, m := range page.GetMembers() {
			emails = append(emails, m.GetUser().GetEmail())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	for token := ""; ; {
		page, err := b.organizations.ListOrganizations(with(t.Context(), bob), &authv1.ListOrganizationsRequest{PageSize: 1, PageToken: token})
		must(t, err)
		for _, o := range page.GetOrganizations() {
			names = append(names, o.GetDisplayName())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if !slices.Equal(emails, []string{"ada@example.org", "bob@example.org"}) || !slices.Equal(names, []string{"ada", "bob"}) {
		t.Errorf("listed %v and %v", emails, names)
	}
	got, err := b.organizations.GetOrganization(with(t.Context(), bob), &authv1.GetOrganizationRequest{Id: ada.OrganizationID})
	if err != nil || !got.GetPersonal() || got.GetDisplayName() != "ada" {
		t.Errorf("bob's other organization is %v, %v", got, err)
	}
}

func TestAnOrganizationIsMadeAndRenamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, _ := b.signUp(t, "ada@example.org")
	created, err := b.organizations.CreateOrganization(with(t.Context(), ada), &authv1.CreateOrganizationRequest{
		Organization: &authv1.Organization{DisplayName: " Analytical Engines "},
	})
	must(t, err)
	if created.GetDisplayName() != "Analytical Engines" || created.GetPersonal() {
		t.Errorf("made %v", created)
	}
	rename := func(tokens *authv1.TokenResponse, o *authv1.Organization) (*authv1.Organization, error) {
		return b.organizations.UpdateOrganization(with(t.Context(), tokens), &authv1.UpdateOrganizationRequest{
			Organization: o, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name"}},
		})
	}
	// Another organization is the active one.
	_, err = rename(ada, &authv1.Organization{Id: created.GetId(), DisplayName: "x"})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	there, err := b.sessions.SwitchOrganization(with(t.Context(), ada), &authv1.SwitchOrganizationRequest{OrganizationId: created.GetId()})
	must(t, err)
	renamed, err := rename(there, &authv1.Organization{Id: created.GetId(), DisplayName: "Difference Engines", Etag: created.GetEtag()})
	must(t, err)
	if renamed.GetDisplayName() != "Difference Engines" || renamed.GetEtag() == created.GetEtag() {
		t.Errorf("renamed to %v", renamed)
	}
	_, err = rename(there, &authv1.Organization{Id: created.GetId(), DisplayName: "x", Etag: created.GetEtag()})
	wantReason(t, err, faultv1.Reason_REASON_ETAG_MISMATCH)
	_, err = rename(there, &authv1.Organization{Id: created.GetId(), DisplayName: " "})
	wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	viewer := b.join(t, b.operator(t), created.GetId(), "bob@example.org", "viewer")
	_, err = rename(viewer, &authv1.Organization{Id: created.GetId(), DisplayName: "Bob's"})
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	wantActions(t, b, created.GetId(), "auth.organization.created", "auth.session.created", "auth.organization.updated",
		"auth.member.added", "auth.session.created")
}
