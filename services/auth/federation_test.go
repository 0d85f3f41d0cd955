package auth_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/config"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/mailtest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/federation"
	"github.com/gatehouse/gatehouse/services/auth/federation/issuerstub"
)

const appRedirect = "org.example.app:/signed-in"

// federated is the service with a provider, in a time that stands still.
type federated struct {
	*bundle
	issuer *issuerstub.Issuer
	clock  *clock.Fake
	// provider is the id of the one that is signed in by.
	provider string
}

func setupFederated(t *testing.T, change ...func(*auth.Config)) *federated {
	t.Helper()
	clk := clock.NewFake(time.Now())
	issuer := newIssuer(t, clk)
	cfg := auth.Config{Providers: []federation.Provider{openIDProvider("acme", issuer)}, Redirects: []string{appRedirect}}
	for _, c := range change {
		c(&cfg)
	}
	return &federated{bundle: setupWith(t, clk, cfg), issuer: issuer, clock: clk, provider: "acme"}
}

func newIssuer(t *testing.T, clk clock.Clock) *issuerstub.Issuer {
	t.Helper()
	issuer, err := issuerstub.New(clk.Now)
	must(t, err)
	server := httptest.NewServer(issuer)
	t.Cleanup(server.Close)
	issuer.URL = server.URL
	return issuer
}

func openIDProvider(name string, issuer *issuerstub.Issuer) federation.Provider {
	return federation.Provider{
		ID: name, DisplayName: strings.ToUpper(name), Kind: federation.OpenID, Issuer: issuer.URL,
		ClientID: issuerstub.ClientID, ClientSecret: config.NewSecret(issuerstub.ClientSecret),
	}
}

// claimsOf is somebody at the provider, with a verified address.
func claimsOf(subject, address string) map[string]any {
	return map[string]any{"sub": subject, "email": address, "email_verified": true, "name": "Ada Lovelace"}
}

func (f *federated) begin(t *testing.T) *authv1.ProviderAttempt {
	t.Helper()
	begun, err := f.providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: f.provider})
	must(t, err)
	return begun
}

// callback is what comes back from the provider after somebody agreed there.
func (f *federated) callback(t *testing.T, begun *authv1.ProviderAttempt, who map[string]any) *authv1.FinishProviderSignInRequest {
	t.Helper()
	code, err := f.issuer.Authorize(begun.GetAuthorizationUrl(), who)
	must(t, err)
	return &authv1.FinishProviderSignInRequest{Provider: f.provider, State: begun.GetState(), Secret: begun.GetSecret(), Code: code}
}

// signInAs signs somebody in by the provider.
func (f *federated) signInAs(t *testing.T, who map[string]any) (*authv1.TokenResponse, error) {
	t.Helper()
	return f.providers.FinishProviderSignIn(t.Context(), f.callback(t, f.begin(t), who))
}

func (f *federated) wantRefused(t *testing.T, who map[string]any, want faultv1.Reason) {
	t.Helper()
	_, err := f.signInAs(t, who)
	wantReason(t, err, want)
}

func TestSomebodyNewGetsAnAccountAndComesBackToIt(t *testing.T) {
	t.Parallel()
	f := setupFederated(t)
	first, err := f.signInAs(t, claimsOf("1", "Ada@Example.org"))
	must(t, err)
	p := f.principal(t, first)
	u := first.GetUser()
	if u.GetEmail() != "Ada@Example.org" || !u.GetEmailVerified() || u.GetDisplayName() != "Ada Lovelace" || !slices.Equal(p.Methods, []string{"fed"}) {
		t.Errorf("signed in as %v with %v", u, p.Methods)
	}
	// The subject is who it is, whatever its address becomes.
	f.issuer.UserInfo = map[string]any{"sub": "1"}
	for _, address := range []string{"ada@example.org", "other@example.org", ""} {
		again, err := f.signInAs(t, claimsOf("1", address))
		must(t, err)
		if got := again.GetUser(); got.GetId() != u.GetId() || got.GetEmail() != "Ada@Example.org" {
			t.Errorf("came back as %v", got)
		}
	}
	_, err = f.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: first.GetRefreshToken()})
	must(t, err)
	wantActions(t, f.bundle, p.OrganizationID, "auth.user.created", "auth.identity.linked", "auth.session.created", "auth.session.created",
		"auth.session.created", "auth.session.created")
	if n := f.issuer.Asked("/.well-known/openid-configuration"); n != 1 {
		t.Errorf("the provider was asked for its metadata %d times", n)
	}
	// S9: no password opens the account, and trying one is answered like any other.
	_, err = f.sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: "ada@example.org", Password: password})
	wantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	// After an hour what the provider says of itself is asked anew.
	f.clock.Advance(time.Hour)
	f.begin(t)
	if n := f.issuer.Asked("/.well-known/openid-configuration"); n != 2 {
		t.Errorf("the provider was asked for its metadata %d times", n)
	}
}

// Of two who come back at once for the first time, both are signed in, to one account.
func TestComingTwiceAtOnceMakesOneAccount(t *testing.T) {
	t.Parallel()
	f := setupFederated(t)
	const racers = 6
	ids, errs := make([]string, racers), make([]error, racers)
	var group sync.WaitGroup
	for i := range racers {
		back := f.callback(t, f.begin(t), claimsOf("1", "ada@example.org"))
		group.Go(func() {
			var tokens *authv1.TokenResponse
			tokens, errs[i] = f.providers.FinishProviderSignIn(t.Context(), back)
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

// What an ID token must not be. The address is one that would make an account.
// S58: a provider that does not work is 503, to be tried again; and what it says of
// itself is not believed where it leads users or secrets astray.
func TestAnAddressThatNobodyVouchesForMakesNoAccount(t *testing.T) {
	t.Parallel()
	f := setupFederated(t)
	for what, who := range map[string]map[string]any{
		"none":       {"sub": "1"},
		"unverified": {"sub": "1", "email": "ada@example.org", "email_verified": false},
		"unsaid":     {"sub": "1", "email": "ada@example.org"},
		"a text":     {"sub": "1", "email": "ada@example.org", "email_verified": "false"},
		"no address": {"sub": "1", "email": "Ada <ada@example.org>", "email_verified": true},
	} {
		f.issuer.UserInfo = map[string]any{"sub": "1"}
		if _, err := f.signInAs(t, who); !fault.Is(err, faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := adminText(t, f.bundle, "SELECT count(*)::text FROM auth.users"); n != "0" {
		t.Errorf("%s accounts", n)
	}
	// Where the token has no address, userinfo may, of the same subject.
	f.issuer.UserInfo = map[string]any{"sub": "2", "email": "eve@example.org", "email_verified": true}
	f.wantRefused(t, map[string]any{"sub": "1"}, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	f.issuer.UserInfo["sub"], f.issuer.UserInfo["email_verified"] = "1", "true"
	tokens, err := f.signInAs(t, map[string]any{"sub": "1"})
	must(t, err)
	if tokens.GetUser().GetEmail() != "eve@example.org" {
		t.Errorf("signed in as %v", tokens.GetUser())
	}
}

// S38: a provider is no way around the second factor.
func TestS38AProviderDoesNotSkipTheSecondFactor(t *testing.T) {
	t.Parallel()
	f := setupFederated(t)
	tokens, err := f.signInAs(t, claimsOf("1", ada))
	must(t, err)
	h := &factorUser{bundle: f.bundle, clock: f.clock}
	h.enroll(t, ada, tokens)
	half, err := f.signInAs(t, claimsOf("1", ada))
	must(t, err)
	if half.GetAccessToken() != "" || half.GetRefreshToken() != "" || half.GetMfaChallenge().GetId() == "" {
		t.Fatalf("a provider alone is answered %v", half)
	}
	whole, err := f.sessions.SignInMfa(t.Context(), &authv1.SignInMfaRequest{ChallengeId: half.GetMfaChallenge().GetId(), Code: h.code(t, 1)})
	must(t, err)
	if p := f.principal(t, whole); !slices.Equal(p.Methods, []string{"fed", "otp", "mfa"}) {
		t.Errorf("signed in with %v", p.Methods)
	}
}

// An account that has the address is not signed in to: an address is no proof.
func TestAnAddressAloneLinksNothing(t *testing.T) {
	t.Parallel()
	f := setupFederated(t)
	f.signUp(t, ada)
	f.database.AdminExec(t, "UPDATE auth.users SET email_verified = true")
	f.wantRefused(t, claimsOf("1", "ADA@example.org"), faultv1.Reason_REASON_IDENTITY_NOT_LINKED)
	f.database.AdminExec(t, "UPDATE auth.users SET email_verified = false, disabled = true")
	f.wantRefused(t, claimsOf("1", ada), faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	if n := adminText(t, f.bundle, "SELECT count(*)::text FROM auth.identities"); n != "0" {
		t.Errorf("%s identities", n)
	}
}

func TestS21ADisabledUserDoesNotComeByAProvider(t *testing.T) {
	t.Parallel()
	f := setupFederated(t)
	_, err := f.signInAs(t, claimsOf("1", ada))
	must(t, err)
	must(t, f.service.DisableUser(t.Context(), ada, true))
	f.wantRefused(t, claimsOf("1", ada), faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
}

// S16: whoever signed up first with another's address loses the account to whom the
// provider vouches for, with all that could open it.
func TestS16WhoeverComesByAProviderPutsTheSquatterOut(t *testing.T) {
	t.Parallel()
	f := setupFederated(t, func(c *auth.Config) { c.VerifiedEmail = false })
	squatter, p := f.signUp(t, ada)
	f.linkTo(t, squatter, claimsOf("squatter", "squatter@example.com"))
	key, err := f.apiKeys.CreateApiKey(with(t.Context(), squatter), &authv1.CreateApiKeyRequest{
		ApiKey: &authv1.ApiKey{DisplayName: "x", Scopes: []string{"chat.read"}},
	})
	must(t, err)
	h := &factorUser{bundle: f.bundle, clock: f.clock}
	h.enroll(t, ada, squatter)

	tokens, err := f.signInAs(t, claimsOf("1", "Ada@example.org"))
	must(t, err)
	if u := tokens.GetUser(); u.GetId() != p.UserID || !u.GetEmailVerified() {
		t.Fatalf("signed in as %v, with %v", u, tokens.GetMfaChallenge())
	}
	_, err = f.sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: ada, Password: password})
	wantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	_, err = f.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: squatter.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	stranger, err := f.signInAs(t, claimsOf("squatter", "squatter@example.com"))
	must(t, err)
	if stranger.GetUser().GetId() == p.UserID {
		t.Error("the squatter's own identity still opens the account")
	}
	left := adminText(t, f.bundle, `SELECT (SELECT count(*) FROM auth.api_keys) || ' keys, ' || (SELECT count(*) FROM auth.totp_factors) || ' factors, '
		|| (SELECT count(*) FROM auth.identities WHERE user_id = $1) || ' identity'`, p.UserID)
	if left != "0 keys, 0 factors, 1 identity" || key.GetSecret() == "" {
		t.Errorf("left are %s", left)
	}
}

// S16: a reset puts out identities that a squatter linked, too.
func TestS16AResetOfAnUnconfirmedAccountRemovesItsIdentities(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	f := setupFederated(t, func(c *auth.Config) { c.Messages.SMTPURL = server.URL() })
	p := &mail{bundle: f.bundle, server: server, emails: authv1.NewEmailServiceClient(f.conn)}
	p.runService(t)
	squatter, _ := f.signUp(t, ada)
	f.linkTo(t, squatter, claimsOf("squatter", "squatter@example.com"))
	p.forgotPassword(t, ada)
	_, token := p.link(t, ada, "Choose a new password")
	must(t, p.resetPassword(t, token, theirs))
	if n := adminText(t, f.bundle, "SELECT count(*)::text FROM auth.identities"); n != "0" {
		t.Errorf("%s identities are left", n)
	}
	// Of an account that is confirmed, they stay.
	mine := f.signInWith(t, ada, theirs)
	f.linkTo(t, mine, claimsOf("1", ada))
	p.server.Forget()
	p.forgotPassword(t, ada)
	_, token = p.link(t, ada, "Choose a new password")
	must(t, p.resetPassword(t, token, password))
	again, err := f.signInAs(t, claimsOf("1", ada))
	must(t, err)
	if again.GetUser().GetId() != mine.GetUser().GetId() {
		t.Errorf("came back as %v", again.GetUser())
	}
}
