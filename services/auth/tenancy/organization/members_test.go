package organization_test

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
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// S21, S45, S46: roles limit at once how members can change each other. A removed
// member cannot refresh.
func TestMembers_RolesLimitChanges(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	adaTokens, ada := b.SignUp(t, "ada@example.org")
	operator, org := b.Operator(t), ada.OrganizationID
	admin := b.Join(t, operator, org, "admin@example.org", "admin")
	member := b.Join(t, operator, org, "member@example.org", "member")
	adminID, memberID := admin.GetUser().GetId(), member.GetUser().GetId()
	asOwner, asAdmin, asMember := authtest.With(t.Context(), adaTokens), authtest.With(t.Context(), admin), authtest.With(t.Context(), member)

	authtest.WantReason(t, b.UpdateMember(asMember, org, memberID, "admin"), faultv1.Reason_REASON_PERMISSION_DENIED)
	authtest.WantReason(t, b.UpdateMember(asAdmin, org, memberID, "owner"), faultv1.Reason_REASON_PERMISSION_DENIED)
	authtest.WantReason(t, b.UpdateMember(asAdmin, org, ada.UserID, "viewer"), faultv1.Reason_REASON_PERMISSION_DENIED)
	authtest.WantReason(t, b.RemoveMember(asAdmin, org, ada.UserID), faultv1.Reason_REASON_PERMISSION_DENIED)
	authtest.WantReason(t, b.RemoveMember(asMember, org, adminID), faultv1.Reason_REASON_PERMISSION_DENIED)
	authtest.WantReason(t, b.UpdateMember(asAdmin, org, id.New(), "viewer"), faultv1.Reason_REASON_NOT_FOUND)
	authtest.Must(t, b.UpdateMember(asAdmin, org, memberID, "viewer"))

	// A token may still be valid, but the rights are those of the database.
	authtest.Must(t, b.UpdateMember(asOwner, org, adminID, "viewer"))
	authtest.WantReason(t, b.UpdateMember(asAdmin, org, memberID, "member"), faultv1.Reason_REASON_CONFLICT)

	authtest.Must(t, b.RemoveMember(asMember, org, memberID))
	_, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: member.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	authtest.WantReason(t, b.RemoveMember(asMember, org, adminID), faultv1.Reason_REASON_NOT_FOUND)

	_, err = b.Organizations.AddMember(asOwner, &authv1.AddMemberRequest{OrganizationId: org, UserId: memberID, Roles: []string{"viewer"}})
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	for reason, req := range map[faultv1.Reason]*authv1.AddMemberRequest{
		faultv1.Reason_REASON_ALREADY_EXISTS:   {OrganizationId: org, UserId: adminID, Roles: []string{"viewer"}},
		faultv1.Reason_REASON_NOT_FOUND:        {OrganizationId: org, UserId: id.New(), Roles: []string{"viewer"}},
		faultv1.Reason_REASON_INVALID_ARGUMENT: {OrganizationId: org, UserId: memberID, Roles: []string{"operator"}},
	} {
		_, err = b.Organizations.AddMember(authtest.With(t.Context(), operator), req)
		authtest.WantReason(t, err, reason)
	}
}

func TestS45LastOwnerCannotLeave(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	adaTokens, ada := b.SignUp(t, "ada@example.org")
	asAda, org := authtest.With(t.Context(), adaTokens), ada.OrganizationID
	authtest.WantReason(t, b.UpdateMember(asAda, org, ada.UserID, "admin"), faultv1.Reason_REASON_LAST_OWNER)
	authtest.WantReason(t, b.RemoveMember(asAda, org, ada.UserID), faultv1.Reason_REASON_LAST_OWNER)

	bob := b.Join(t, b.Operator(t), org, "bob@example.org", "owner")
	// Both leave at once, and one of them must stay.
	errs := make([]error, 2)
	var group sync.WaitGroup
	group.Go(func() { errs[0] = b.RemoveMember(asAda, org, ada.UserID) })
	group.Go(func() { errs[1] = b.RemoveMember(authtest.With(t.Context(), bob), org, bob.GetUser().GetId()) })
	group.Wait()
	left := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(left) != 1 || !fault.Is(left[0], faultv1.Reason_REASON_LAST_OWNER) {
		t.Errorf("the two were refused %v", left)
	}
}

func TestS45ConcurrentDemotionLeavesOneOwner(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	tokens, ada := b.SignUp(t, "ada@example.org")
	org, _ := b.CreateOrganization(t, tokens, "Engines")
	bob := b.Join(t, b.Operator(t), org, "bob@example.org", "member")
	conn, err := pgx.Connect(t.Context(), b.Database.AdminURL)
	authtest.Must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	exec := func(sql string, args ...any) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql, args...)
		authtest.Must(t, err)
	}
	exec("BEGIN")
	exec("SELECT FROM auth.organizations WHERE id = $1 FOR UPDATE", org)
	left := make(chan error, 1)
	go func() { left <- b.DeleteMe(authtest.With(t.Context(), bob)) }()
	authtest.WaitFor(t, func() bool {
		return authtest.AdminText(t, b, "SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == "1"
	})
	exec("UPDATE auth.memberships SET roles = ARRAY [CASE WHEN user_id = $2 THEN 'admin' ELSE 'owner' END] WHERE organization_id = $1",
		org, ada.UserID)
	exec("COMMIT")
	authtest.WantReason(t, <-left, faultv1.Reason_REASON_LAST_OWNER)
}

func TestS41OtherOrganizationIsNotFound(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	_, ada := b.SignUp(t, "ada@example.org")
	eve, _ := b.SignUp(t, "eve@example.org")
	asEve := authtest.With(t.Context(), eve)
	calls := map[string]func(id string) error{
		"get": func(id string) error {
			_, err := b.Organizations.GetOrganization(asEve, &authv1.GetOrganizationRequest{Id: id})
			return err
		},
		"members": func(id string) error {
			_, err := b.Organizations.ListMembers(asEve, &authv1.ListMembersRequest{OrganizationId: id})
			return err
		},
		"update": func(id string) error { return b.UpdateMember(asEve, id, ada.UserID, "viewer") },
		"remove": func(id string) error { return b.RemoveMember(asEve, id, ada.UserID) },
		"switch": func(id string) error {
			_, err := b.Sessions.SwitchOrganization(asEve, &authv1.SwitchOrganizationRequest{OrganizationId: id})
			return err
		},
	}
	for name, call := range calls {
		foreign, absent := call(ada.OrganizationID), call(id.New())
		authtest.WantReason(t, foreign, faultv1.Reason_REASON_NOT_FOUND)
		authtest.WantReason(t, absent, faultv1.Reason_REASON_NOT_FOUND)
		if fault.From(foreign).Detail() != fault.From(absent).Detail() || fault.From(foreign).Detail() != "no such organization" {
			t.Errorf("%s returns %v and %v", name, foreign, absent)
		}
	}
}

func TestLists_ReturnAllPages(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	adaTokens, ada := b.SignUp(t, "ada@example.org")
	bob := b.Join(t, b.Operator(t), ada.OrganizationID, "bob@example.org", "member")
	var emails, names []string
	for token := ""; ; {
		page, err := b.Organizations.ListMembers(authtest.With(t.Context(), adaTokens),
			&authv1.ListMembersRequest{OrganizationId: ada.OrganizationID, PageSize: 1, PageToken: token})
		authtest.Must(t, err)
		for _, m := range page.GetMembers() {
			emails = append(emails, m.GetUser().GetEmail())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	for token := ""; ; {
		page, err := b.Organizations.ListOrganizations(authtest.With(t.Context(), bob), &authv1.ListOrganizationsRequest{PageSize: 1, PageToken: token})
		authtest.Must(t, err)
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
	got, err := b.Organizations.GetOrganization(authtest.With(t.Context(), bob), &authv1.GetOrganizationRequest{Id: ada.OrganizationID})
	if err != nil || !got.GetPersonal() || got.GetDisplayName() != "ada" {
		t.Errorf("bob's other organization is %v, %v", got, err)
	}
}

func TestOrganization_CreateAndRename(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, _ := b.SignUp(t, "ada@example.org")
	created, err := b.Organizations.CreateOrganization(authtest.With(t.Context(), ada), &authv1.CreateOrganizationRequest{
		Organization: &authv1.Organization{DisplayName: " Analytical Engines "},
	})
	authtest.Must(t, err)
	if created.GetDisplayName() != "Analytical Engines" || created.GetPersonal() {
		t.Errorf("created %v", created)
	}
	rename := func(tokens *authv1.TokenResponse, o *authv1.Organization) (*authv1.Organization, error) {
		return b.Organizations.UpdateOrganization(authtest.With(t.Context(), tokens), &authv1.UpdateOrganizationRequest{
			Organization: o, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name"}},
		})
	}
	// The caller acts in another organization.
	_, err = rename(ada, &authv1.Organization{Id: created.GetId(), DisplayName: "x"})
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	there, err := b.Sessions.SwitchOrganization(authtest.With(t.Context(), ada), &authv1.SwitchOrganizationRequest{OrganizationId: created.GetId()})
	authtest.Must(t, err)
	renamed, err := rename(there, &authv1.Organization{Id: created.GetId(), DisplayName: "Difference Engines", Etag: created.GetEtag()})
	authtest.Must(t, err)
	if renamed.GetDisplayName() != "Difference Engines" || renamed.GetEtag() == created.GetEtag() {
		t.Errorf("renamed to %v", renamed)
	}
	_, err = rename(there, &authv1.Organization{Id: created.GetId(), DisplayName: "x", Etag: created.GetEtag()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_ETAG_MISMATCH)
	_, err = rename(there, &authv1.Organization{Id: created.GetId(), DisplayName: " "})
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	viewer := b.Join(t, b.Operator(t), created.GetId(), "bob@example.org", "viewer")
	_, err = rename(viewer, &authv1.Organization{Id: created.GetId(), DisplayName: "Bob's"})
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	authtest.WantActions(t, b, created.GetId(), "auth.organization.created", "auth.session.created", "auth.organization.updated",
		"auth.member.added", "auth.session.created")
}
