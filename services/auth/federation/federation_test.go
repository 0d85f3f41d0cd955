package federation_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/mailtest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// claimsOf returns the claims of a user with a verified address.
func claimsOf(subject, address string) map[string]any {
	return map[string]any{"sub": subject, "email": address, "email_verified": true, "name": "Ada Lovelace"}
}

func TestFinishSignIn_UnknownIdentity_CreatesAccountOnce(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	first, err := f.SignInAs(t, claimsOf("1", "Ada@Example.org"))
	authtest.Must(t, err)
	p := f.Principal(t, first)
	u := first.GetUser()
	if u.GetEmail() != "Ada@Example.org" || !u.GetEmailVerified() || u.GetDisplayName() != "Ada Lovelace" || !slices.Equal(p.Methods, []string{"fed"}) {
		t.Errorf("signed in as %v with %v", u, p.Methods)
	}
	// The subject identifies the user, whatever the address becomes.
	f.Issuer.UserInfo = map[string]any{"sub": "1"}
	for _, address := range []string{"ada@example.org", "other@example.org", ""} {
		again, err := f.SignInAs(t, claimsOf("1", address))
		authtest.Must(t, err)
		if got := again.GetUser(); got.GetId() != u.GetId() || got.GetEmail() != "Ada@Example.org" {
			t.Errorf("signed in again as %v", got)
		}
	}
	_, err = f.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: first.GetRefreshToken()})
	authtest.Must(t, err)
	authtest.WantActions(t, f.Bundle, p.OrganizationID, "auth.user.created", "auth.identity.linked", "auth.session.created", "auth.session.created",
		"auth.session.created", "auth.session.created")
	if n := f.Issuer.Requests("/.well-known/openid-configuration"); n != 1 {
		t.Errorf("the provider's metadata was read %d times", n)
	}
	// S9: no password opens the account, and the response is that of any wrong password.
	_, err = f.Sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: "ada@example.org", Password: authtest.Password})
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	// After an hour the metadata is read again.
	f.Clock.Advance(time.Hour)
	f.Begin(t)
	if n := f.Issuer.Requests("/.well-known/openid-configuration"); n != 2 {
		t.Errorf("the provider's metadata was read %d times", n)
	}
}

// Two concurrent first logins with one identity are both signed in, to one account.
func TestFinishSignIn_ConcurrentFirstLogins_CreateOneAccount(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	const racers = 6
	ids, errs := make([]string, racers), make([]error, racers)
	var group sync.WaitGroup
	for i := range racers {
		callback := f.Callback(t, f.Begin(t), claimsOf("1", "ada@example.org"))
		group.Go(func() {
			var tokens *authv1.TokenResponse
			tokens, errs[i] = f.Providers.FinishProviderSignIn(t.Context(), callback)
			ids[i] = tokens.GetUser().GetId()
		})
	}
	group.Wait()
	for i, err := range errs {
		if err != nil || ids[i] == "" || ids[i] != ids[0] {
			t.Errorf("%q %v", ids[i], err)
		}
	}
}

// S58: an ID token without a verified address creates no account. A provider that does
// not work is unavailable, and its metadata cannot lead users or secrets to another
// place.
func TestFinishSignIn_UnverifiedAddress_CreatesNoAccount(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	for what, profile := range map[string]map[string]any{
		"none":       {"sub": "1"},
		"unverified": {"sub": "1", "email": "ada@example.org", "email_verified": false},
		"unsaid":     {"sub": "1", "email": "ada@example.org"},
		"a text":     {"sub": "1", "email": "ada@example.org", "email_verified": "false"},
		"no address": {"sub": "1", "email": "Ada <ada@example.org>", "email_verified": true},
	} {
		f.Issuer.UserInfo = map[string]any{"sub": "1"}
		if _, err := f.SignInAs(t, profile); !fault.Is(err, faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := authtest.AdminText(t, f.Bundle, "SELECT count(*)::text FROM auth.users"); n != "0" {
		t.Errorf("%s accounts", n)
	}
	// When the token has no address, that of userinfo counts, for the same subject.
	f.Issuer.UserInfo = map[string]any{"sub": "2", "email": "eve@example.org", "email_verified": true}
	f.WantRefused(t, map[string]any{"sub": "1"}, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	f.Issuer.UserInfo["sub"], f.Issuer.UserInfo["email_verified"] = "1", "true"
	tokens, err := f.SignInAs(t, map[string]any{"sub": "1"})
	authtest.Must(t, err)
	if tokens.GetUser().GetEmail() != "eve@example.org" {
		t.Errorf("signed in as %v", tokens.GetUser())
	}
}

// S38: a sign-in with a provider does not skip the second factor.
func TestS38ProviderDoesNotSkipSecondFactor(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	tokens, err := f.SignInAs(t, claimsOf("1", authtest.Ada))
	authtest.Must(t, err)
	h := &authtest.FactorUser{Bundle: f.Bundle, Clock: f.Clock}
	h.Enroll(t, authtest.Ada, tokens)
	partial, err := f.SignInAs(t, claimsOf("1", authtest.Ada))
	authtest.Must(t, err)
	if partial.GetAccessToken() != "" || partial.GetRefreshToken() != "" || partial.GetMfaChallenge().GetId() == "" {
		t.Fatalf("a provider alone returned %v", partial)
	}
	whole, err := f.Sessions.SignInMfa(t.Context(), &authv1.SignInMfaRequest{ChallengeId: partial.GetMfaChallenge().GetId(), Code: h.Code(t, 1)})
	authtest.Must(t, err)
	if p := f.Principal(t, whole); !slices.Equal(p.Methods, []string{"fed", "otp", "mfa"}) {
		t.Errorf("signed in with %v", p.Methods)
	}
}

// The address of an account is no proof, so the sign-in is refused.
func TestFinishSignIn_AddressOfAccount_IsNotLinked(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	f.SignUp(t, authtest.Ada)
	f.Database.AdminExec(t, "UPDATE auth.users SET email_verified = true")
	f.WantRefused(t, claimsOf("1", "ADA@example.org"), faultv1.Reason_REASON_IDENTITY_NOT_LINKED)
	f.Database.AdminExec(t, "UPDATE auth.users SET email_verified = false, disabled = true")
	f.WantRefused(t, claimsOf("1", authtest.Ada), faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	if n := authtest.AdminText(t, f.Bundle, "SELECT count(*)::text FROM auth.identities"); n != "0" {
		t.Errorf("%s identities", n)
	}
}

func TestS21DisabledUserCannotSignInWithProvider(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	_, err := f.SignInAs(t, claimsOf("1", authtest.Ada))
	authtest.Must(t, err)
	authtest.Must(t, f.Service.DisableUser(t.Context(), authtest.Ada, true))
	f.WantRefused(t, claimsOf("1", authtest.Ada), faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
}

// S16: a user who signed up with another person's address loses the account, with all
// its credentials, when the provider has verified the address of another user.
func TestS16ProviderSignInRemovesSquattersCredentials(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t, func(c *auth.Config) { c.VerifiedEmail = false })
	squatter, p := f.SignUp(t, authtest.Ada)
	f.LinkTo(t, squatter, claimsOf("squatter", "squatter@example.com"))
	key, err := f.APIKeys.CreateApiKey(authtest.With(t.Context(), squatter), &authv1.CreateApiKeyRequest{
		ApiKey: &authv1.ApiKey{DisplayName: "x", Scopes: []string{"chat.read"}},
	})
	authtest.Must(t, err)
	h := &authtest.FactorUser{Bundle: f.Bundle, Clock: f.Clock}
	h.Enroll(t, authtest.Ada, squatter)

	tokens, err := f.SignInAs(t, claimsOf("1", "Ada@example.org"))
	authtest.Must(t, err)
	if u := tokens.GetUser(); u.GetId() != p.UserID || !u.GetEmailVerified() {
		t.Fatalf("signed in as %v, with %v", u, tokens.GetMfaChallenge())
	}
	_, err = f.Sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: authtest.Ada, Password: authtest.Password})
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	_, err = f.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: squatter.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	outsider, err := f.SignInAs(t, claimsOf("squatter", "squatter@example.com"))
	authtest.Must(t, err)
	if outsider.GetUser().GetId() == p.UserID {
		t.Error("the squatter's identity still opens the account")
	}
	left := authtest.AdminText(t, f.Bundle, `SELECT (SELECT count(*) FROM auth.api_keys) || ' keys, ' || (SELECT count(*) FROM auth.totp_factors) || ' factors, '
		|| (SELECT count(*) FROM auth.identities WHERE user_id = $1) || ' identity'`, p.UserID)
	if left != "0 keys, 0 factors, 1 identity" || key.GetSecret() == "" {
		t.Errorf("left are %s", left)
	}
}

// S16: a reset also removes the identities that a squatter linked.
func TestS16ResetOfUnconfirmedAccountRemovesIdentities(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	f := authtest.SetupFederated(t, func(c *auth.Config) { c.Messages.SMTPURL = server.URL() })
	p := &authtest.Mail{Bundle: f.Bundle, Server: server, Emails: authv1.NewEmailServiceClient(f.Conn)}
	p.RunService(t)
	squatter, _ := f.SignUp(t, authtest.Ada)
	f.LinkTo(t, squatter, claimsOf("squatter", "squatter@example.com"))
	p.ForgotPassword(t, authtest.Ada)
	_, token := p.Link(t, authtest.Ada, "Choose a new password")
	authtest.Must(t, p.ResetPassword(t, token, authtest.OtherPassword))
	if n := authtest.AdminText(t, f.Bundle, "SELECT count(*)::text FROM auth.identities"); n != "0" {
		t.Errorf("%s identities are left", n)
	}
	// A reset of a confirmed account keeps them.
	own := f.SignInWith(t, authtest.Ada, authtest.OtherPassword)
	f.LinkTo(t, own, claimsOf("1", authtest.Ada))
	p.Server.Forget()
	p.ForgotPassword(t, authtest.Ada)
	_, token = p.Link(t, authtest.Ada, "Choose a new password")
	authtest.Must(t, p.ResetPassword(t, token, authtest.Password))
	again, err := f.SignInAs(t, claimsOf("1", authtest.Ada))
	authtest.Must(t, err)
	if again.GetUser().GetId() != own.GetUser().GetId() {
		t.Errorf("signed in again as %v", again.GetUser())
	}
}
