package auth_test

import (
	"context"
	"strings"
	"testing"
	"time"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/mailtest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// sharedOrganization makes an organization that its maker owns, and answers its id with tokens
// there.
func (b *bundle) sharedOrganization(t *testing.T, owner *authv1.TokenResponse, name string) (string, *authv1.TokenResponse) {
	t.Helper()
	o, err := b.organizations.CreateOrganization(with(t.Context(), owner), &authv1.CreateOrganizationRequest{
		Organization: &authv1.Organization{DisplayName: name},
	})
	must(t, err)
	there, err := b.switchTo(t, owner, o.GetId())
	must(t, err)
	return o.GetId(), there
}

func (b *bundle) switchTo(t *testing.T, tokens *authv1.TokenResponse, organizationID string) (*authv1.TokenResponse, error) {
	t.Helper()
	return b.sessions.SwitchOrganization(with(t.Context(), tokens), &authv1.SwitchOrganizationRequest{OrganizationId: organizationID})
}

func (b *bundle) deleteOrganization(ctx context.Context, organizationID string) error {
	_, err := b.organizations.DeleteOrganization(ctx, &authv1.DeleteOrganizationRequest{Id: organizationID})
	return err
}

func (b *bundle) undeleteOrganization(ctx context.Context, organizationID string) (*authv1.Organization, error) {
	return b.organizations.UndeleteOrganization(ctx, &authv1.UndeleteOrganizationRequest{Id: organizationID})
}

func (b *bundle) deleteMe(ctx context.Context) error {
	_, err := b.accounts.DeleteMe(ctx, &authv1.DeleteMeRequest{})
	return err
}

func (b *bundle) refresh(ctx context.Context, tokens *authv1.TokenResponse) (*authv1.TokenResponse, error) {
	return b.sessions.Refresh(ctx, &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
}

// erasures lists what other services are told to erase.
func (b *bundle) erasures(ctx context.Context, t *testing.T) (users, organizations []string) {
	t.Helper()
	req := &authv1.ListErasuresRequest{PageSize: 1}
	for first := true; first || req.GetPageToken() != ""; first = false {
		page, err := authv1.NewErasureServiceClient(b.conn).ListErasures(ctx, req)
		must(t, err)
		for _, e := range page.GetErasures() {
			if e.GetUserId() != "" {
				users = append(users, e.GetUserId())
			} else {
				organizations = append(organizations, e.GetOrganizationId())
			}
		}
		req.PageToken = page.GetNextPageToken()
	}
	return users, organizations
}

func TestS18DeletionNeedsAFreshSignIn(t *testing.T) {
	t.Parallel()
	// In the past, as tokens must not be from the future.
	clk := clock.NewFake(clock.System().Now().Add(-identity.MaxAuthAge - time.Minute))
	p := setupMail(t, clk, false)
	tokens, who := p.signUp(t, ada)
	org, _ := p.sharedOrganization(t, tokens, "Engines")
	deletions := map[string]func(ctx context.Context) error{
		"account": p.deleteMe, "organization": func(ctx context.Context) error { return p.deleteOrganization(ctx, org) },
	}
	clk.Advance(identity.MaxAuthAge + time.Second)
	for name, attempt := range deletions {
		if err := attempt(with(t.Context(), tokens)); !fault.Is(err, faultv1.Reason_REASON_STEP_UP_REQUIRED) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fresh := p.signIn(t, ada)
	p.enrollDirectly(t, who.UserID)
	for name, attempt := range deletions {
		if err := attempt(with(t.Context(), fresh)); !fault.Is(err, faultv1.Reason_REASON_STEP_UP_REQUIRED) {
			t.Errorf("%s without the second factor: %v", name, err)
		}
	}
}

// S21: of a deleted account nothing opens anything any more, and what is left of it
// names nobody.
func TestS21ADeletedAccountIsGone(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := setupMail(t, clk, false)
	feed, operator := p.asService(t, "auth"), p.operator(t)
	tokens, who := p.signUpConfirmed(t, ada)
	elsewhere, err := p.switchTo(t, tokens, p.inviteAndToken(t, operator, tokens, ada))
	must(t, err)
	p.forgotPassword(t, ada)
	p.link(t, ada, "Choose a new password")
	p.readSignInMail(t, ada)
	secret := p.createKey(t, tokens, "chat.read").GetSecret()

	must(t, p.deleteMe(with(t.Context(), tokens)))

	p.server.Wait(t, ada, "Your account is deleted")
	for name, session := range map[string]*authv1.TokenResponse{"here": tokens, "elsewhere": elsewhere} {
		if _, err := p.refresh(t.Context(), session); !fault.Is(err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID) {
			t.Errorf("a session %s is refreshed: %v", name, err)
		}
	}
	wantReason(t, p.tryPassword(t, ada, password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
	_, err = p.accounts.GetMe(with(t.Context(), tokens), &authv1.GetMeRequest{})
	wantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	_, err = p.service.APIKey(t.Context(), keys.Hash(secret))
	wantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	found, err := p.service.Revocations(t.Context(), clk.Now().Add(-time.Minute))
	must(t, err)
	revoked := false
	for _, r := range found {
		revoked = revoked || r.UserID == who.UserID && r.OrganizationID == ""
	}
	if !revoked {
		t.Errorf("the feed says %+v", found)
	}
	p.wantErased(t, who)

	// The address is free, and its next account another.
	again, next := p.signUp(t, ada)
	if next.UserID == who.UserID || again.GetUser().GetDisplayName() != "ada" {
		t.Errorf("signed up as %v", again.GetUser())
	}
	// The personal organization follows at once, and the others are told of both.
	var users, organizations []string
	waitFor(t, func() bool {
		clk.Advance(time.Minute)
		users, organizations = p.erasures(feed, t)
		return len(organizations) > 0
	})
	if strings.Join(users, " ") != who.UserID || strings.Join(organizations, " ") != who.OrganizationID {
		t.Errorf("to be erased: users %v, organizations %v", users, organizations)
	}
	if got := adminText(t, p.bundle, "SELECT string_agg(DISTINCT action, ' ') FROM audit.events WHERE organization_id = $1 AND action LIKE '%ed' AND action ~ 'user.deleted|member|purged'",
		who.OrganizationID); got != "auth.member.removed auth.organization.purged auth.user.deleted" {
		t.Errorf("the trail holds %s", got)
	}
}

// inviteAndToken has somebody accept an invitation of an operator, and answers where to.
func (p *mail) inviteAndToken(t *testing.T, by, guest *authv1.TokenResponse, address string) string {
	t.Helper()
	_, err := p.invite(t, by, address, "member")
	must(t, err)
	_, token := p.link(t, address, "You are invited to root")
	organizationID, err := p.acceptInvitation(t, guest, token)
	must(t, err)
	return organizationID
}

// wantErased looks for whatever names a user beside its id, and for rows that
// are the user's.
func (p *mail) wantErased(t *testing.T, who *identity.Principal) {
	t.Helper()
	if got := adminText(t, p.bundle, "SELECT replace(u::text, u.id::text, '') FROM auth.users u WHERE id = $1", who.UserID); strings.Contains(got, "ada") || strings.Contains(got, "argon2") {
		t.Errorf("the user is %s", got)
	}
	if n := adminText(t, p.bundle, "SELECT count(*)::text FROM auth.invitations WHERE email ILIKE '%ada%' OR email_normalized LIKE '%ada%'"); n != "0" {
		t.Errorf("%s invitations hold the address", n)
	}
	tables := adminText(t, p.bundle, `SELECT string_agg(table_name, ' ') FROM information_schema.columns
		WHERE table_schema = 'auth' AND column_name = 'user_id' AND table_name <> 'revocations'`)
	if len(strings.Fields(tables)) < 8 {
		t.Errorf("only %s hold users' rows: nothing is shown", tables)
	}
	for table := range strings.FieldsSeq(tables) {
		if n := adminText(t, p.bundle, "SELECT count(*)::text FROM auth."+table+" WHERE user_id = $1", who.UserID); n != "0" {
			t.Errorf("%s holds %s rows of the user", table, n)
		}
	}
}

func TestS45TheLastOwnerKeepsItsAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens, who := b.signUp(t, "ada@example.org")
	org, there := b.sharedOrganization(t, tokens, "Engines")
	err := b.deleteMe(with(t.Context(), tokens))
	if f := fault.From(err); f.Reason() != faultv1.Reason_REASON_LAST_OWNER || !strings.Contains(f.Detail(), `"Engines" (`+org+")") {
		t.Errorf("answered %v", err)
	}
	// Nothing of it was done.
	_, err = b.refresh(t.Context(), there)
	must(t, err)
	b.signIn(t, "ada@example.org")
	bob := b.join(t, b.operator(t), org, "bob@example.org", "owner")
	must(t, b.deleteMe(with(t.Context(), tokens)))
	members, err := b.organizations.ListMembers(with(t.Context(), bob), &authv1.ListMembersRequest{OrganizationId: org})
	must(t, err)
	if got := members.GetMembers(); len(got) != 1 || got[0].GetUserId() == who.UserID {
		t.Errorf("its members are %v", got)
	}
	// A deleted organization holds nobody back.
	must(t, b.deleteOrganization(with(t.Context(), bob), org))
	must(t, b.deleteMe(with(t.Context(), bob)))
}

// S21, S22: nobody acts in a deleted organization, and everybody does again once an
// owner restores it.
func TestS22ADeletedOrganizationCanBeRestored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	home, _ := b.signUp(t, "ada@example.org")
	org, owner := b.sharedOrganization(t, home, "Engines")
	admin := b.join(t, b.operator(t), org, "bob@example.org", "admin")
	secret := b.createKey(t, owner, "chat.read").GetSecret()
	stranger, strange := b.signUp(t, "eve@example.org")

	wantReason(t, b.deleteOrganization(with(t.Context(), stranger), org), faultv1.Reason_REASON_NOT_FOUND)
	wantReason(t, b.deleteOrganization(with(t.Context(), admin), org), faultv1.Reason_REASON_PERMISSION_DENIED)
	wantReason(t, b.deleteOrganization(with(t.Context(), stranger), strange.OrganizationID), faultv1.Reason_REASON_CONFLICT)
	_, err := b.undeleteOrganization(with(t.Context(), owner), org)
	wantReason(t, err, faultv1.Reason_REASON_CONFLICT)

	must(t, b.deleteOrganization(with(t.Context(), home), org))
	wantReason(t, b.deleteOrganization(with(t.Context(), home), org), faultv1.Reason_REASON_CONFLICT)
	got, err := b.organizations.GetOrganization(with(t.Context(), home), &authv1.GetOrganizationRequest{Id: org})
	must(t, err)
	if got.GetState() != authv1.Organization_DELETED || got.GetPurgeTime().AsTime().Sub(got.GetDeleteTime().AsTime()) != organization.Grace {
		t.Errorf("it is %v", got)
	}
	for _, session := range []*authv1.TokenResponse{owner, admin} {
		_, err = b.refresh(t.Context(), session)
		wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	}
	_, err = b.switchTo(t, home, org)
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	_, err = b.service.APIKey(t.Context(), keys.Hash(secret))
	wantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	for what, err := range map[string]error{
		"a member is changed": b.updateMember(with(t.Context(), owner), org, admin.GetUser().GetId(), "viewer"),
		"it is renamed":       b.renameOrganization(t, owner, org),
	} {
		if !fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
			t.Errorf("%s: %v", what, err)
		}
	}
	found, err := b.service.Revocations(t.Context(), b.principal(t, home).IssueTime)
	must(t, err)
	if last := found[len(found)-1]; last.OrganizationID != org || last.UserID != "" {
		t.Errorf("the feed says %+v", found)
	}
	me, err := b.accounts.GetMe(with(t.Context(), home), &authv1.GetMeRequest{})
	must(t, err)
	if len(me.GetOrganizations()) != 1 {
		t.Errorf("one can switch to %v", me.GetOrganizations())
	}

	_, err = b.undeleteOrganization(with(t.Context(), stranger), org)
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	_, err = b.undeleteOrganization(with(t.Context(), admin), org)
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	restored, err := b.undeleteOrganization(with(t.Context(), home), org)
	must(t, err)
	if restored.GetState() != authv1.Organization_ACTIVE || restored.GetDeleteTime() != nil || restored.GetPurgeTime() != nil {
		t.Errorf("restored as %v", restored)
	}
	_, err = b.refresh(t.Context(), admin)
	must(t, err)
	_, err = b.service.APIKey(t.Context(), keys.Hash(secret))
	must(t, err)
	if actions := adminText(t, b, "SELECT string_agg(action, ' ' ORDER BY time, id) FROM audit.events WHERE resource_id = $1", org); actions !=
		"auth.organization.created auth.organization.deleted auth.organization.restored" {
		t.Errorf("the trail holds %s", actions)
	}
}

func (b *bundle) renameOrganization(t *testing.T, by *authv1.TokenResponse, organizationID string) error {
	t.Helper()
	_, err := b.organizations.UpdateOrganization(with(t.Context(), by), &authv1.UpdateOrganizationRequest{
		Organization: &authv1.Organization{Id: organizationID, DisplayName: "Other"},
	})
	return err
}

// A token that is issued while its organization goes loses its force with the others:
// either it says that it is older, or it is refused.
func TestS22WhatIsIssuedWhileAnOrganizationGoesEndsToo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	home, _ := b.signUp(t, "ada@example.org")
	for range 10 {
		org, _ := b.sharedOrganization(t, home, "Engines")
		issued := make(chan *authv1.TokenResponse, 4)
		for range cap(issued) {
			go func() {
				tokens, err := b.sessions.SwitchOrganization(with(t.Context(), home), &authv1.SwitchOrganizationRequest{OrganizationId: org})
				if err != nil && !fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
					t.Error(err)
				}
				issued <- tokens
			}()
		}
		must(t, b.deleteOrganization(with(t.Context(), home), org))
		var all []*authv1.TokenResponse
		for range cap(issued) {
			all = append(all, <-issued)
		}
		found, err := b.service.Revocations(t.Context(), clock.System().Now().Add(-time.Minute))
		must(t, err)
		var cutoff time.Time
		for _, r := range found {
			if r.OrganizationID == org && r.UserID == "" {
				cutoff = r.Time
			}
		}
		for _, tokens := range all {
			if tokens.GetAccessToken() != "" && b.principal(t, tokens).IssueTime.After(cutoff) {
				t.Error("a token outlives its organization")
			}
		}
	}
}

func TestAnOrganizationIsPurgedAfterItsGrace(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := setupMail(t, clk, false)
	feed := p.asService(t, "auth")
	home, _ := p.signUp(t, ada)
	young, _ := p.sharedOrganization(t, home, "Looms")
	old, owner := p.sharedOrganization(t, home, "Engines")
	p.createKey(t, owner, "chat.read")
	machine, err := p.createServiceAccount(with(t.Context(), owner), old, "member")
	must(t, err)
	machines, err := p.createServiceKey(with(t.Context(), owner), old, machine.GetId(), "chat.read")
	must(t, err)
	p.createRole(t, owner, "Readers", "chat.read")
	shown, err := p.createPublishableKey(with(t.Context(), owner), "https://shop.example")
	must(t, err)
	client, err := authv1.NewOAuthClientServiceClient(p.conn).CreateOAuthClient(with(t.Context(), owner), &authv1.CreateOAuthClientRequest{
		OauthClient: &authv1.OAuthClient{DisplayName: "App", Scopes: []string{"openid"}, RedirectUris: []string{"https://app.example/"}},
	})
	must(t, err)
	known := func() string {
		return adminText(t, p.bundle, "SELECT count(*)::text FROM auth.oauth_client($1)", client.GetOauthClient().GetId())
	}
	resolved := func() bool {
		_, err := authv1.NewPublishableKeyDirectoryServiceClient(p.conn).ResolvePublishableKey(feed, &authv1.ResolvePublishableKeyRequest{
			Key: shown.GetKey(), Origin: "https://shop.example",
		})
		return err == nil
	}
	if !p.keyWorks(t, machines.GetSecret()) || !resolved() || known() != "1" {
		t.Fatal("what belongs to the organization does not work")
	}
	_, err = p.invite(t, owner, "bob@example.org", "member")
	must(t, err)
	for _, o := range []string{young, old} {
		must(t, p.deleteOrganization(with(t.Context(), home), o))
	}
	if p.keyWorks(t, machines.GetSecret()) || resolved() || known() != "0" {
		t.Error("what belongs to a deleted organization works")
	}
	p.database.AdminExec(t, "UPDATE auth.organizations SET deleted_at = $2, purge_at = $3 WHERE id = $1", old, clk.Now().Add(-organization.Grace), clk.Now())
	_, err = p.undeleteOrganization(with(t.Context(), home), old)
	wantReason(t, err, faultv1.Reason_REASON_CONFLICT)
	var organizations []string
	waitFor(t, func() bool {
		clk.Advance(time.Minute)
		_, organizations = p.erasures(feed, t)
		return len(organizations) > 0
	})
	if strings.Join(organizations, " ") != old {
		t.Errorf("purged %v", organizations)
	}
	for _, table := range []string{
		"sessions", "refresh_tokens", "api_keys", "memberships", "suspended_memberships", "invitations", "roles", "oauth_clients",
		"publishable_keys", "identity_providers",
	} {
		if n := adminText(t, p.bundle, "SELECT count(*)::text FROM auth."+table+" WHERE organization_id = $1", old); n != "0" {
			t.Errorf("%s holds %s rows", table, n)
		}
	}
	if n := adminText(t, p.bundle, "SELECT count(*)::text FROM auth.users WHERE id = $1", machine.GetId()); n != "0" {
		t.Error("its service account is left")
	}
	if n := adminText(t, p.bundle, "SELECT count(*)::text FROM auth.organizations WHERE deleted_at IS NOT NULL AND id = $1", young); n != "1" {
		t.Error("the other one went too")
	}
	if n := adminText(t, p.bundle, "SELECT count(*)::text FROM audit.events WHERE organization_id = $1 AND action = 'auth.organization.purged'", old); n != "1" {
		t.Errorf("%s rows of the trail tell of it", n)
	}
}

// S78: an invitation that waits for the mail server is not mailed once its
// organization is deleted.
func TestS78InvitationsOfADeletedOrganizationAreNotMailed(t *testing.T) {
	t.Parallel()
	address := mailtest.Reserve(t)
	p := setupMailAt(t, clock.System(), auth.Config{}, mailtest.URLAt(address))
	home, _ := p.signUp(t, ada)
	org, owner := p.sharedOrganization(t, home, "ada")
	_, err := p.invite(t, owner, "bob@example.org", "member")
	must(t, err)
	waitFor(t, func() bool {
		return adminText(t, p.bundle, "SELECT count(*)::text FROM jobs_auth.river_job WHERE cardinality(errors) > 0") == "2"
	})
	must(t, p.deleteOrganization(with(t.Context(), home), org))
	p.server = mailtest.StartAt(t, address)
	p.waitDelivered(t, 2)
	for _, m := range p.server.Mails() {
		if m.To != ada {
			t.Errorf("%s was mailed %q", m.To, m.Subject)
		}
	}
}

// An invitation that was mailed before the deletion brings nobody in.
func TestADeletedOrganizationTakesNobodyIn(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	home, _ := p.signUp(t, ada)
	org, owner := p.sharedOrganization(t, home, "ada")
	guest, who := p.signUp(t, "bob@example.org")
	_, err := p.invite(t, owner, "bob@example.org", "member")
	must(t, err)
	_, token := p.link(t, "bob@example.org", invited)
	must(t, p.deleteOrganization(with(t.Context(), home), org))
	_, err = p.acceptInvitation(t, guest, token)
	wantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	_, err = p.organizations.AddMember(with(t.Context(), p.operator(t)), &authv1.AddMemberRequest{OrganizationId: org, UserId: who.UserID, Roles: []string{"viewer"}})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
}

// S78: nobody becomes a member whose account goes at the same time.
func TestS78AnInvitationDoesNotOutrunTheEndOfAnAccount(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	home, _ := p.signUp(t, ada)
	guest, who := p.signUp(t, "bob@example.org")
	_, err := p.invite(t, home, "bob@example.org", "owner")
	must(t, err)
	_, token := p.link(t, "bob@example.org", invited)
	_, err = raceWith(t, p.bundle, "auth.user.deleted", func() error {
		_, err := p.accounts.DeleteMe(with(t.Context(), guest), &authv1.DeleteMeRequest{})
		return err
	}, func() (string, error) { return p.acceptInvitation(t, guest, token) })
	wantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	if n := adminText(t, p.bundle, "SELECT count(*)::text FROM auth.memberships WHERE user_id = '"+who.UserID+"'"); n != "0" {
		t.Errorf("the user who is gone has %s memberships", n)
	}
}
