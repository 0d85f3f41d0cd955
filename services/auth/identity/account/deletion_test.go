package account_test

import (
	"context"
	"strings"
	"testing"
	"time"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestS18DeletingAccountNeedsRecentSignIn(t *testing.T) {
	t.Parallel()
	// In the past, because tokens must not be from the future.
	clk := clock.NewFake(clock.System().Now().Add(-identity.MaxAuthAge - time.Minute))
	p := authtest.SetupMail(t, clk, false)
	tokens, who := p.SignUp(t, authtest.Ada)
	org, _ := p.CreateOrganization(t, tokens, "Engines")
	deletions := map[string]func(ctx context.Context) error{
		"account": p.DeleteMe, "organization": func(ctx context.Context) error { return p.DeleteOrganization(ctx, org) },
	}
	clk.Advance(identity.MaxAuthAge + time.Second)
	for name, attempt := range deletions {
		if err := attempt(authtest.With(t.Context(), tokens)); !fault.Is(err, faultv1.Reason_REASON_STEP_UP_REQUIRED) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fresh := p.SignIn(t, authtest.Ada)
	p.EnrollDirectly(t, who.UserID)
	for name, attempt := range deletions {
		if err := attempt(authtest.With(t.Context(), fresh)); !fault.Is(err, faultv1.Reason_REASON_STEP_UP_REQUIRED) {
			t.Errorf("%s without the second factor: %v", name, err)
		}
	}
}

// S21: nothing gives access to a deleted account, and its remaining rows have no
// personal data.
func TestS21DeletedAccountLosesAccessAndData(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := authtest.SetupMail(t, clk, false)
	feed, operator := p.AsService(t, "auth"), p.Operator(t)
	tokens, who := p.SignUpConfirmed(t, authtest.Ada)
	elsewhere, err := p.SwitchTo(t, tokens, p.JoinByInvitation(t, operator, tokens, authtest.Ada))
	authtest.Must(t, err)
	p.ForgotPassword(t, authtest.Ada)
	p.Link(t, authtest.Ada, "Choose a new password")
	p.ReadSignInMail(t, authtest.Ada)
	secret := p.CreateKey(t, tokens, "chat.read").GetSecret()

	authtest.Must(t, p.DeleteMe(authtest.With(t.Context(), tokens)))

	p.Server.Wait(t, authtest.Ada, "Your account is deleted")
	for name, session := range map[string]*authv1.TokenResponse{"here": tokens, "elsewhere": elsewhere} {
		if _, err := p.Refresh(t.Context(), session); !fault.Is(err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID) {
			t.Errorf("a session %s is refreshed: %v", name, err)
		}
	}
	authtest.WantReason(t, p.TryPassword(t, authtest.Ada, authtest.Password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
	_, err = p.Accounts.GetMe(authtest.With(t.Context(), tokens), &authv1.GetMeRequest{})
	authtest.WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	_, err = p.Service.APIKey(t.Context(), keys.Hash(secret))
	authtest.WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	found, err := p.Service.Revocations(t.Context(), clk.Now().Add(-time.Minute))
	authtest.Must(t, err)
	revoked := false
	for _, r := range found {
		revoked = revoked || r.UserID == who.UserID && r.OrganizationID == ""
	}
	if !revoked {
		t.Errorf("the feed has %+v", found)
	}
	p.WantErased(t, who)

	// The address can be used again, for another account.
	again, next := p.SignUp(t, authtest.Ada)
	if next.UserID == who.UserID || again.GetUser().GetDisplayName() != "ada" {
		t.Errorf("signed up as %v", again.GetUser())
	}
	// The personal organization is purged at once, and the feed has both.
	var users, organizations []string
	authtest.WaitFor(t, func() bool {
		clk.Advance(time.Minute)
		users, organizations = p.Erasures(feed, t)
		return len(organizations) > 0
	})
	if strings.Join(users, " ") != who.UserID || strings.Join(organizations, " ") != who.OrganizationID {
		t.Errorf("to be erased: users %v, organizations %v", users, organizations)
	}
	if got := authtest.AdminText(t, p.Bundle, "SELECT string_agg(DISTINCT action, ' ') FROM audit.events WHERE organization_id = $1 AND action LIKE '%ed' AND action ~ 'user.deleted|member|purged'",
		who.OrganizationID); got != "auth.member.removed auth.organization.purged auth.user.deleted" {
		t.Errorf("the audit trail has %s", got)
	}
}

func TestS45LastOwnerCannotDeleteAccount(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	tokens, who := b.SignUp(t, "ada@example.org")
	org, there := b.CreateOrganization(t, tokens, "Engines")
	err := b.DeleteMe(authtest.With(t.Context(), tokens))
	if f := fault.From(err); f.Reason() != faultv1.Reason_REASON_LAST_OWNER || !strings.Contains(f.Detail(), `"Engines" (`+org+")") {
		t.Errorf("the deletion returned %v", err)
	}
	// Nothing was changed.
	_, err = b.Refresh(t.Context(), there)
	authtest.Must(t, err)
	b.SignIn(t, "ada@example.org")
	bob := b.Join(t, b.Operator(t), org, "bob@example.org", "owner")
	authtest.Must(t, b.DeleteMe(authtest.With(t.Context(), tokens)))
	members, err := b.Organizations.ListMembers(authtest.With(t.Context(), bob), &authv1.ListMembersRequest{OrganizationId: org})
	authtest.Must(t, err)
	if got := members.GetMembers(); len(got) != 1 || got[0].GetUserId() == who.UserID {
		t.Errorf("its members are %v", got)
	}
	// A deleted organization does not prevent the deletion.
	authtest.Must(t, b.DeleteOrganization(authtest.With(t.Context(), bob), org))
	authtest.Must(t, b.DeleteMe(authtest.With(t.Context(), bob)))
}
