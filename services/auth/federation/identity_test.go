package federation_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/mailtest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// S18: the email about a link goes to the account's own address, whatever the
// provider's address is.
func TestS18LinkingAnIdentityInformsUser(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	f := authtest.SetupFederated(t, func(c *auth.Config) { c.Messages.SMTPURL = server.URL() })
	f.RunService(t)
	tokens, p := f.SignUp(t, authtest.Ada)
	linked := f.LinkTo(t, tokens, map[string]any{"sub": "1", "email": "ada@elsewhere.example", "email_verified": false})
	if linked.GetProvider() != "acme" || linked.GetIssuer() != f.Issuer.URL || linked.GetSubject() != "1" || linked.GetLastUsedTime() != nil {
		t.Errorf("linked %v", linked)
	}
	if m := server.Wait(t, authtest.Ada, "Sign-in with ACME was added"); !strings.Contains(m.Text, "ACME") {
		t.Errorf("the email is %q", m.Text)
	}
	signedIn, err := f.SignInAs(t, claimsOf("1", "ada@elsewhere.example"))
	authtest.Must(t, err)
	if signedIn.GetUser().GetId() != p.UserID {
		t.Errorf("signed in as %v", signedIn.GetUser())
	}
	listed, err := f.Identities.ListIdentities(authtest.With(t.Context(), tokens), &authv1.ListIdentitiesRequest{})
	authtest.Must(t, err)
	if items := listed.GetIdentities(); len(items) != 1 || items[0].GetId() != linked.GetId() || items[0].GetLastUsedTime() == nil {
		t.Errorf("listed %v", items)
	}
	authtest.Must(t, f.RemoveIdentity(t, tokens, linked.GetId()))
	server.Wait(t, authtest.Ada, "Sign-in with ACME was removed")
	authtest.WantReason(t, f.RemoveIdentity(t, tokens, linked.GetId()), faultv1.Reason_REASON_NOT_FOUND)
	authtest.WantActions(t, f.Bundle, p.OrganizationID, "auth.user.created", "auth.session.created", "auth.identity.linked", "auth.session.created", "auth.identity.removed")
}

func TestFinishIdentity_LinkedElsewhere_IsRefused(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	own, _ := f.SignUp(t, authtest.Ada)
	eve, _ := f.SignUp(t, "eve@example.org")
	linked := f.LinkTo(t, own, claimsOf("1", authtest.Ada))
	for _, tokens := range []*authv1.TokenResponse{own, eve} {
		started, err := f.BeginLink(t, tokens)
		authtest.Must(t, err)
		_, err = f.FinishLink(t, started, claimsOf("1", authtest.Ada))
		authtest.WantReason(t, err, faultv1.Reason_REASON_ALREADY_EXISTS)
	}
	authtest.WantReason(t, f.RemoveIdentity(t, eve, linked.GetId()), faultv1.Reason_REASON_NOT_FOUND)
	// An attempt to link cannot sign in, nor the reverse.
	started, err := f.BeginLink(t, eve)
	authtest.Must(t, err)
	_, err = f.Providers.FinishProviderSignIn(t.Context(), f.Callback(t, started, claimsOf("2", "new@example.org")))
	authtest.WantReason(t, err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	_, err = f.FinishLink(t, f.Begin(t), claimsOf("2", "new@example.org"))
	authtest.WantReason(t, err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
}

// S21: an attempt to link ends with the session that began it.
func TestS21LinkingEndsWithSession(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	tokens, _ := f.SignUp(t, authtest.Ada)
	started, err := f.BeginLink(t, tokens)
	authtest.Must(t, err)
	_, err = f.Sessions.SignOut(t.Context(), &authv1.SignOutRequest{RefreshToken: tokens.GetRefreshToken()})
	authtest.Must(t, err)
	_, err = f.FinishLink(t, started, claimsOf("1", authtest.Ada))
	authtest.WantReason(t, err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	tokens = f.SignIn(t, authtest.Ada)
	started, err = f.BeginLink(t, tokens)
	authtest.Must(t, err)
	authtest.Must(t, f.Service.DisableUser(t.Context(), authtest.Ada, true))
	_, err = f.FinishLink(t, started, claimsOf("1", authtest.Ada))
	authtest.WantReason(t, err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
}

func TestS18LinkingNeedsRecentSignInWithFactor(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	tokens, _ := f.SignUp(t, authtest.Ada)
	linked := f.LinkTo(t, tokens, claimsOf("1", authtest.Ada))
	h := &authtest.FactorUser{Bundle: f.Bundle, Clock: f.Clock}
	h.Enroll(t, authtest.Ada, tokens) // the previous token has used no factor
	_, err := f.BeginLink(t, tokens)
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	authtest.WantReason(t, f.RemoveIdentity(t, tokens, linked.GetId()), faultv1.Reason_REASON_STEP_UP_REQUIRED)
	fresh, err := f.Sessions.StepUp(authtest.With(t.Context(), tokens), authtest.StepUpCode(h.Code(t, 1)))
	authtest.Must(t, err)
	_, err = f.BeginLink(t, fresh)
	authtest.Must(t, err)
	f.Clock.Advance(identity.MaxAuthAge + time.Second)
	_, err = f.BeginLink(t, fresh)
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	authtest.WantReason(t, f.RemoveIdentity(t, fresh, linked.GetId()), faultv1.Reason_REASON_STEP_UP_REQUIRED)
}

func TestDeleteIdentity_LastCredential_IsRefused(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	tokens, err := f.SignInAs(t, claimsOf("1", authtest.Ada))
	authtest.Must(t, err)
	second := f.LinkTo(t, tokens, claimsOf("2", "ada@elsewhere.example"))
	authtest.Must(t, f.RemoveIdentity(t, tokens, second.GetId()))
	listed, err := f.Identities.ListIdentities(authtest.With(t.Context(), tokens), &authv1.ListIdentitiesRequest{PageSize: 1})
	authtest.Must(t, err)
	first := listed.GetIdentities()[0].GetId()
	authtest.WantReason(t, f.RemoveIdentity(t, tokens, first), faultv1.Reason_REASON_LAST_CREDENTIAL)
	_, err = f.SignInAs(t, claimsOf("1", authtest.Ada))
	authtest.Must(t, err)
	f.RegisterPasskey(t, tokens, authtest.NewPasskey(t)) // a passkey signs in alone
	tokens, err = f.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	authtest.Must(t, err)
	authtest.Must(t, f.RemoveIdentity(t, tokens, first))
}

// The last of two credentials stays when both are removed at once, also when it is a
// passkey.
func TestDeletePasskey_LastCredential_IsRefused(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	tokens, err := f.SignInAs(t, claimsOf("1", authtest.Ada))
	authtest.Must(t, err)
	key := authtest.NewPasskey(t)
	registered := f.RegisterPasskey(t, tokens, key)
	tokens, err = f.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	authtest.Must(t, err)
	listed, err := f.Identities.ListIdentities(authtest.With(t.Context(), tokens), &authv1.ListIdentitiesRequest{PageSize: 1})
	authtest.Must(t, err)
	authtest.Must(t, f.RemoveIdentity(t, tokens, listed.GetIdentities()[0].GetId()))
	_, err = f.Passkeys.DeletePasskey(authtest.With(t.Context(), tokens), &authv1.DeletePasskeyRequest{Id: registered.GetPasskey().GetId()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_LAST_CREDENTIAL)
	_, err = f.FinishPasskeySignIn(t, authtest.SignPasskey(t, key, f.BeginPasskeySignIn(t, "")))
	authtest.Must(t, err)
	f.LinkTo(t, tokens, claimsOf("2", authtest.Ada))
	_, err = f.Passkeys.DeletePasskey(authtest.With(t.Context(), tokens), &authv1.DeletePasskeyRequest{Id: registered.GetPasskey().GetId()})
	authtest.Must(t, err)
}

// S73: a copy of the database cannot finish an attempt.
func TestS73DatabaseCopyFinishesNoAttempt(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	started := f.Begin(t)
	u, err := url.Parse(started.GetAuthorizationUrl())
	authtest.Must(t, err)
	stored := authtest.AdminText(t, f.Bundle, "SELECT string_agg(a::text, ' ') FROM auth.provider_attempts a")
	for _, secret := range []string{started.GetState(), started.GetSecret(), u.Query().Get("nonce")} {
		if secret == "" || strings.Contains(stored, secret) || strings.Contains(started.GetAuthorizationUrl(), started.GetSecret()) {
			t.Errorf("%q is stored or sent in plain text: %s", secret, stored)
		}
	}
}
