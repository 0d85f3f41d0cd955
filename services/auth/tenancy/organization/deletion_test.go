package organization_test

import (
	"strings"
	"testing"
	"time"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// S21, S22: nobody acts in a deleted organization. After an owner restores it, all
// members do again.
func TestS22DeletedOrganizationCanBeRestored(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	home, _ := b.SignUp(t, "ada@example.org")
	org, owner := b.CreateOrganization(t, home, "Engines")
	admin := b.Join(t, b.Operator(t), org, "bob@example.org", "admin")
	secret := b.CreateKey(t, owner, "chat.read").GetSecret()
	outsider, outside := b.SignUp(t, "eve@example.org")

	authtest.WantReason(t, b.DeleteOrganization(authtest.With(t.Context(), outsider), org), faultv1.Reason_REASON_NOT_FOUND)
	authtest.WantReason(t, b.DeleteOrganization(authtest.With(t.Context(), admin), org), faultv1.Reason_REASON_PERMISSION_DENIED)
	authtest.WantReason(t, b.DeleteOrganization(authtest.With(t.Context(), outsider), outside.OrganizationID), faultv1.Reason_REASON_CONFLICT)
	_, err := b.UndeleteOrganization(authtest.With(t.Context(), owner), org)
	authtest.WantReason(t, err, faultv1.Reason_REASON_CONFLICT)

	authtest.Must(t, b.DeleteOrganization(authtest.With(t.Context(), home), org))
	authtest.WantReason(t, b.DeleteOrganization(authtest.With(t.Context(), home), org), faultv1.Reason_REASON_CONFLICT)
	got, err := b.Organizations.GetOrganization(authtest.With(t.Context(), home), &authv1.GetOrganizationRequest{Id: org})
	authtest.Must(t, err)
	if got.GetState() != authv1.Organization_DELETED || got.GetPurgeTime().AsTime().Sub(got.GetDeleteTime().AsTime()) != organization.Grace {
		t.Errorf("it is %v", got)
	}
	for _, session := range []*authv1.TokenResponse{owner, admin} {
		_, err = b.Refresh(t.Context(), session)
		authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	}
	_, err = b.SwitchTo(t, home, org)
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	_, err = b.Service.APIKey(t.Context(), keys.Hash(secret))
	authtest.WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	for what, err := range map[string]error{
		"a member is changed": b.UpdateMember(authtest.With(t.Context(), owner), org, admin.GetUser().GetId(), "viewer"),
		"it is renamed":       b.RenameOrganization(t, owner, org),
	} {
		if !fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
			t.Errorf("%s: %v", what, err)
		}
	}
	found, err := b.Service.Revocations(t.Context(), b.Principal(t, home).IssueTime)
	authtest.Must(t, err)
	if last := found[len(found)-1]; last.OrganizationID != org || last.UserID != "" {
		t.Errorf("the feed has %+v", found)
	}
	me, err := b.Accounts.GetMe(authtest.With(t.Context(), home), &authv1.GetMeRequest{})
	authtest.Must(t, err)
	if len(me.GetOrganizations()) != 1 {
		t.Errorf("the user can switch to %v", me.GetOrganizations())
	}

	_, err = b.UndeleteOrganization(authtest.With(t.Context(), outsider), org)
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	_, err = b.UndeleteOrganization(authtest.With(t.Context(), admin), org)
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	restored, err := b.UndeleteOrganization(authtest.With(t.Context(), home), org)
	authtest.Must(t, err)
	if restored.GetState() != authv1.Organization_ACTIVE || restored.GetDeleteTime() != nil || restored.GetPurgeTime() != nil {
		t.Errorf("restored as %v", restored)
	}
	_, err = b.Refresh(t.Context(), admin)
	authtest.Must(t, err)
	_, err = b.Service.APIKey(t.Context(), keys.Hash(secret))
	authtest.Must(t, err)
	if actions := authtest.AdminText(t, b, "SELECT string_agg(action, ' ' ORDER BY time, id) FROM audit.events WHERE resource_id = $1", org); actions !=
		"auth.organization.created auth.organization.deleted auth.organization.restored" {
		t.Errorf("the audit trail has %s", actions)
	}
}

// A token that is issued while its organization is deleted is revoked with the others,
// or is refused.
func TestS22TokenIssuedDuringDeletionIsRevoked(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	home, _ := b.SignUp(t, "ada@example.org")
	for range 10 {
		org, _ := b.CreateOrganization(t, home, "Engines")
		issued := make(chan *authv1.TokenResponse, 4)
		for range cap(issued) {
			go func() {
				tokens, err := b.Sessions.SwitchOrganization(authtest.With(t.Context(), home), &authv1.SwitchOrganizationRequest{OrganizationId: org})
				if err != nil && !fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
					t.Error(err)
				}
				issued <- tokens
			}()
		}
		authtest.Must(t, b.DeleteOrganization(authtest.With(t.Context(), home), org))
		var all []*authv1.TokenResponse
		for range cap(issued) {
			all = append(all, <-issued)
		}
		found, err := b.Service.Revocations(t.Context(), clock.System().Now().Add(-time.Minute))
		authtest.Must(t, err)
		var cutoff time.Time
		for _, r := range found {
			if r.OrganizationID == org && r.UserID == "" {
				cutoff = r.Time
			}
		}
		for _, tokens := range all {
			if tokens.GetAccessToken() != "" && b.Principal(t, tokens).IssueTime.After(cutoff) {
				t.Error("a token outlives its organization")
			}
		}
	}
}

func TestPurge_GracePeriodEnded_DeletesEverything(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := authtest.SetupMail(t, clk, false)
	feed := p.AsService(t, "auth")
	home, _ := p.SignUp(t, authtest.Ada)
	young, _ := p.CreateOrganization(t, home, "Looms")
	old, owner := p.CreateOrganization(t, home, "Engines")
	p.CreateKey(t, owner, "chat.read")
	machine, err := p.CreateServiceAccount(authtest.With(t.Context(), owner), old, "member")
	authtest.Must(t, err)
	machines, err := p.CreateServiceKey(authtest.With(t.Context(), owner), old, machine.GetId(), "chat.read")
	authtest.Must(t, err)
	p.CreateRole(t, owner, "Readers", "chat.read")
	listed, err := p.CreatePublishableKey(authtest.With(t.Context(), owner), "https://shop.example")
	authtest.Must(t, err)
	client, err := authv1.NewOAuthClientServiceClient(p.Conn).CreateOAuthClient(authtest.With(t.Context(), owner), &authv1.CreateOAuthClientRequest{
		OauthClient: &authv1.OAuthClient{DisplayName: "App", Scopes: []string{"openid"}, RedirectUris: []string{"https://app.example/"}},
	})
	authtest.Must(t, err)
	known := func() string {
		return authtest.AdminText(t, p.Bundle, "SELECT count(*)::text FROM auth.oauth_client($1)", client.GetOauthClient().GetId())
	}
	resolved := func() bool {
		_, err := authv1.NewPublishableKeyDirectoryServiceClient(p.Conn).ResolvePublishableKey(feed, &authv1.ResolvePublishableKeyRequest{
			Key: listed.GetKey(), Origin: "https://shop.example",
		})
		return err == nil
	}
	if !p.KeyWorks(t, machines.GetSecret()) || !resolved() || known() != "1" {
		t.Fatal("what belongs to the organization does not work")
	}
	_, err = p.Invite(t, owner, "bob@example.org", "member")
	authtest.Must(t, err)
	for _, o := range []string{young, old} {
		authtest.Must(t, p.DeleteOrganization(authtest.With(t.Context(), home), o))
	}
	if p.KeyWorks(t, machines.GetSecret()) || resolved() || known() != "0" {
		t.Error("what belongs to a deleted organization works")
	}
	p.Database.AdminExec(t, "UPDATE auth.organizations SET deleted_at = $2, purge_at = $3 WHERE id = $1", old, clk.Now().Add(-organization.Grace), clk.Now())
	_, err = p.UndeleteOrganization(authtest.With(t.Context(), home), old)
	authtest.WantReason(t, err, faultv1.Reason_REASON_CONFLICT)
	var organizations []string
	authtest.WaitFor(t, func() bool {
		clk.Advance(time.Minute)
		_, organizations = p.Erasures(feed, t)
		return len(organizations) > 0
	})
	if strings.Join(organizations, " ") != old {
		t.Errorf("purged %v", organizations)
	}
	for _, table := range []string{
		"sessions", "refresh_tokens", "api_keys", "memberships", "suspended_memberships", "invitations", "roles", "oauth_clients",
		"publishable_keys", "identity_providers",
	} {
		if n := authtest.AdminText(t, p.Bundle, "SELECT count(*)::text FROM auth."+table+" WHERE organization_id = $1", old); n != "0" {
			t.Errorf("%s holds %s rows", table, n)
		}
	}
	if n := authtest.AdminText(t, p.Bundle, "SELECT count(*)::text FROM auth.users WHERE id = $1", machine.GetId()); n != "0" {
		t.Error("its service account is left")
	}
	if n := authtest.AdminText(t, p.Bundle, "SELECT count(*)::text FROM auth.organizations WHERE deleted_at IS NOT NULL AND id = $1", young); n != "1" {
		t.Error("the other organization was purged too")
	}
	if n := authtest.AdminText(t, p.Bundle, "SELECT count(*)::text FROM audit.events WHERE organization_id = $1 AND action = 'auth.organization.purged'", old); n != "1" {
		t.Errorf("the audit trail has %s rows about the purge", n)
	}
}

// An invitation that was sent before the deletion cannot be accepted.
func TestAcceptInvitation_DeletedOrganization_IsRefused(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	home, _ := p.SignUp(t, authtest.Ada)
	org, owner := p.CreateOrganization(t, home, "ada")
	guest, who := p.SignUp(t, "bob@example.org")
	_, err := p.Invite(t, owner, "bob@example.org", "member")
	authtest.Must(t, err)
	_, token := p.Link(t, "bob@example.org", authtest.InvitedSubject)
	authtest.Must(t, p.DeleteOrganization(authtest.With(t.Context(), home), org))
	_, err = p.AcceptInvitation(t, guest, token)
	authtest.WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	_, err = p.Organizations.AddMember(authtest.With(t.Context(), p.Operator(t)), &authv1.AddMemberRequest{OrganizationId: org, UserId: who.UserID, Roles: []string{"viewer"}})
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
}
