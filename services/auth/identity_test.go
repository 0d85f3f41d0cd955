package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse/gatehouse/platform/config"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/mailtest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/federation"
	"github.com/gatehouse/gatehouse/services/auth/federation/issuerstub"
)

func (f *federated) beginLink(t *testing.T, tokens *authv1.TokenResponse) (*authv1.ProviderAttempt, error) {
	t.Helper()
	return f.identities.BeginIdentity(with(t.Context(), tokens), &authv1.BeginIdentityRequest{Provider: f.provider})
}

// finishLink comes back from the provider to link, without any other credential.
func (f *federated) finishLink(t *testing.T, begun *authv1.ProviderAttempt, who map[string]any) (*authv1.Identity, error) {
	t.Helper()
	back := f.callback(t, begun, who)
	return f.identities.FinishIdentity(t.Context(), &authv1.FinishIdentityRequest{
		Provider: back.GetProvider(), State: back.GetState(), Secret: back.GetSecret(), Code: back.GetCode(),
	})
}

// linkTo links somebody at the provider to whoever has tokens.
func (f *federated) linkTo(t *testing.T, tokens *authv1.TokenResponse, who map[string]any) *authv1.Identity {
	t.Helper()
	begun, err := f.beginLink(t, tokens)
	must(t, err)
	linked, err := f.finishLink(t, begun, who)
	must(t, err)
	return linked
}

func (b *bundle) signInWith(t *testing.T, email, password string) *authv1.TokenResponse {
	t.Helper()
	tokens, err := b.sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: email, Password: password})
	must(t, err)
	return tokens
}

func (f *federated) removeIdentity(t *testing.T, tokens *authv1.TokenResponse, id string) error {
	t.Helper()
	_, err := f.identities.DeleteIdentity(with(t.Context(), tokens), &authv1.DeleteIdentityRequest{Id: id})
	return err
}

// S18: linking tells the account's own address, whatever the provider's is.
func TestS18IdentitiesAreLinkedByWhoIsSignedInAndTold(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	f := setupFederated(t, func(c *auth.Config) { c.Messages.SMTPURL = server.URL() })
	f.runService(t)
	tokens, p := f.signUp(t, ada)
	linked := f.linkTo(t, tokens, map[string]any{"sub": "1", "email": "ada@elsewhere.example", "email_verified": false})
	if linked.GetProvider() != "acme" || linked.GetIssuer() != f.issuer.URL || linked.GetSubject() != "1" || linked.GetLastUsedTime() != nil {
		t.Errorf("linked %v", linked)
	}
	if m := server.Wait(t, ada, "Sign-in by ACME was set up"); !strings.Contains(m.Text, "ACME") {
		t.Errorf("told %q", m.Text)
	}
	came, err := f.signInAs(t, claimsOf("1", "ada@elsewhere.example"))
	must(t, err)
	if came.GetUser().GetId() != p.UserID {
		t.Errorf("came as %v", came.GetUser())
	}
	listed, err := f.identities.ListIdentities(with(t.Context(), tokens), &authv1.ListIdentitiesRequest{})
	must(t, err)
	if items := listed.GetIdentities(); len(items) != 1 || items[0].GetId() != linked.GetId() || items[0].GetLastUsedTime() == nil {
		t.Errorf("listed %v", items)
	}
	must(t, f.removeIdentity(t, tokens, linked.GetId()))
	server.Wait(t, ada, "Sign-in by ACME was removed")
	wantReason(t, f.removeIdentity(t, tokens, linked.GetId()), faultv1.Reason_REASON_NOT_FOUND)
	wantActions(t, f.bundle, p.OrganizationID, "auth.user.created", "auth.session.created", "auth.identity.linked", "auth.session.created", "auth.identity.removed")
}

func TestAnIdentityIsOfOneAccount(t *testing.T) {
	t.Parallel()
	f := setupFederated(t)
	mine, _ := f.signUp(t, ada)
	eve, _ := f.signUp(t, "eve@example.org")
	linked := f.linkTo(t, mine, claimsOf("1", ada))
	for _, tokens := range []*authv1.TokenResponse{mine, eve} {
		begun, err := f.beginLink(t, tokens)
		must(t, err)
		_, err = f.finishLink(t, begun, claimsOf("1", ada))
		wantReason(t, err, faultv1.Reason_REASON_ALREADY_EXISTS)
	}
	wantReason(t, f.removeIdentity(t, eve, linked.GetId()), faultv1.Reason_REASON_NOT_FOUND)
	// What was begun to link does not sign in, nor the other way around.
	begun, err := f.beginLink(t, eve)
	must(t, err)
	_, err = f.providers.FinishProviderSignIn(t.Context(), f.callback(t, begun, claimsOf("2", "new@example.org")))
	wantReason(t, err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	_, err = f.finishLink(t, f.begin(t), claimsOf("2", "new@example.org"))
	wantReason(t, err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
}

// S21: an attempt to link ends with the session that began it.
func TestS21LinkingEndsWithItsSession(t *testing.T) {
	t.Parallel()
	f := setupFederated(t)
	tokens, _ := f.signUp(t, ada)
	begun, err := f.beginLink(t, tokens)
	must(t, err)
	_, err = f.sessions.SignOut(t.Context(), &authv1.SignOutRequest{RefreshToken: tokens.GetRefreshToken()})
	must(t, err)
	_, err = f.finishLink(t, begun, claimsOf("1", ada))
	wantReason(t, err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	tokens = f.signIn(t, ada)
	begun, err = f.beginLink(t, tokens)
	must(t, err)
	must(t, f.service.DisableUser(t.Context(), ada, true))
	_, err = f.finishLink(t, begun, claimsOf("1", ada))
	wantReason(t, err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
}

func TestS18IdentitiesNeedAFreshSignInWithTheFactor(t *testing.T) {
	t.Parallel()
	f := setupFederated(t)
	tokens, _ := f.signUp(t, ada)
	linked := f.linkTo(t, tokens, claimsOf("1", ada))
	h := &factorUser{bundle: f.bundle, clock: f.clock}
	h.enroll(t, ada, tokens) // the token from before has shown no factor
	_, err := f.beginLink(t, tokens)
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	wantReason(t, f.removeIdentity(t, tokens, linked.GetId()), faultv1.Reason_REASON_STEP_UP_REQUIRED)
	fresh, err := f.sessions.StepUp(with(t.Context(), tokens), stepUpCode(h.code(t, 1)))
	must(t, err)
	_, err = f.beginLink(t, fresh)
	must(t, err)
	f.clock.Advance(identity.MaxAuthAge + time.Second)
	_, err = f.beginLink(t, fresh)
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	wantReason(t, f.removeIdentity(t, fresh, linked.GetId()), faultv1.Reason_REASON_STEP_UP_REQUIRED)
}

func TestTheLastWayToSignInStays(t *testing.T) {
	t.Parallel()
	f := setupFederated(t)
	tokens, err := f.signInAs(t, claimsOf("1", ada))
	must(t, err)
	second := f.linkTo(t, tokens, claimsOf("2", "ada@elsewhere.example"))
	must(t, f.removeIdentity(t, tokens, second.GetId()))
	listed, err := f.identities.ListIdentities(with(t.Context(), tokens), &authv1.ListIdentitiesRequest{PageSize: 1})
	must(t, err)
	first := listed.GetIdentities()[0].GetId()
	wantReason(t, f.removeIdentity(t, tokens, first), faultv1.Reason_REASON_LAST_CREDENTIAL)
	_, err = f.signInAs(t, claimsOf("1", ada))
	must(t, err)
	f.registerPasskey(t, tokens, newKey(t)) // signs in alone
	tokens, err = f.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	must(t, err)
	must(t, f.removeIdentity(t, tokens, first))
}

// However the last two go, also a passkey that signs in alone.
func TestTheLastPasskeyStaysWhereNothingElseSignsIn(t *testing.T) {
	t.Parallel()
	f := setupFederated(t)
	tokens, err := f.signInAs(t, claimsOf("1", ada))
	must(t, err)
	key := newKey(t)
	registered := f.registerPasskey(t, tokens, key)
	tokens, err = f.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	must(t, err)
	listed, err := f.identities.ListIdentities(with(t.Context(), tokens), &authv1.ListIdentitiesRequest{PageSize: 1})
	must(t, err)
	must(t, f.removeIdentity(t, tokens, listed.GetIdentities()[0].GetId()))
	_, err = f.passkeys.DeletePasskey(with(t.Context(), tokens), &authv1.DeletePasskeyRequest{Id: registered.GetPasskey().GetId()})
	wantReason(t, err, faultv1.Reason_REASON_LAST_CREDENTIAL)
	_, err = f.finishPasskeySignIn(t, signPasskey(t, key, f.beginPasskeySignIn(t, "")))
	must(t, err)
	f.linkTo(t, tokens, claimsOf("2", ada))
	_, err = f.passkeys.DeletePasskey(with(t.Context(), tokens), &authv1.DeletePasskeyRequest{Id: registered.GetPasskey().GetId()})
	must(t, err)
}

// S73: a copy of the database holds nothing that finishes an attempt.
func TestS73ADumpFinishesNoAttempt(t *testing.T) {
	t.Parallel()
	f := setupFederated(t)
	begun := f.begin(t)
	u, err := url.Parse(begun.GetAuthorizationUrl())
	must(t, err)
	stored := adminText(t, f.bundle, "SELECT string_agg(a::text, ' ') FROM auth.provider_attempts a")
	for _, secret := range []string{begun.GetState(), begun.GetSecret(), u.Query().Get("nonce")} {
		if secret == "" || strings.Contains(stored, secret) || strings.Contains(begun.GetAuthorizationUrl(), begun.GetSecret()) {
			t.Errorf("%q rests, or passes, in the clear: %s", secret, stored)
		}
	}
}

// Microsoft's tenants say what they like of their users' addresses; and each is an
// issuer of its own.
func TestMicrosoftsTenantsVouchForNoAddresses(t *testing.T) {
	t.Parallel()
	f := setupFederated(t, func(c *auth.Config) {
		c.Providers[0].Kind = federation.Microsoft
		c.Providers[0].Issuer += "/common/v2.0"
	})
	const tenant, other = "72f988bf-86f1-41af-91ab-2d7cd011db47", "9188040d-6c67-4c5b-b112-36a304b66dad"
	base := f.issuer.URL
	f.issuer.Metadata = func(m map[string]any) { m["issuer"] = base + "/{tenantid}/v2.0" }
	of := func(iss, tid string, more map[string]any) map[string]any {
		out := claimsOf("1", ada)
		out["iss"], out["tid"] = iss, tid
		for name, value := range more {
			out[name] = value
		}
		return out
	}
	f.wantRefused(t, of(base+"/"+tenant+"/v2.0", tenant, nil), faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
	f.wantRefused(t, of(base+"/"+tenant+"/v2.0", tenant, map[string]any{"xms_edov": false}), faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
	for _, wrong := range [][2]string{
		{base + "/" + other + "/v2.0", tenant}, {base + "/" + tenant + "/v2.0", ""}, {base + "/{tenantid}/v2.0", "{tenantid}"},
		{"https://evil.example/" + tenant + "/v2.0", tenant}, {base + "/" + tenant + "/v1.0", tenant}, {base + "/../v2.0", ".."},
	} {
		f.wantRefused(t, of(wrong[0], wrong[1], map[string]any{"xms_edov": true}), faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	}
	tokens, err := f.signInAs(t, of(base+"/"+tenant+"/v2.0", tenant, map[string]any{"xms_edov": "1"}))
	must(t, err)
	if tokens.GetUser().GetEmail() != ada {
		t.Errorf("came as %v", tokens.GetUser())
	}
	// The same subject of another tenant is somebody else.
	f.wantRefused(t, of(base+"/"+other+"/v2.0", other, map[string]any{"xms_edov": true}), faultv1.Reason_REASON_IDENTITY_NOT_LINKED)
}

// newGitHub is GitHub's half of a sign-in, as its documentation has it.
func newGitHub(t *testing.T, emails *string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login/oauth/access_token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.PostFormValue("code") != "good" || r.PostFormValue("client_secret") != issuerstub.ClientSecret || len(r.PostFormValue("code_verifier")) != 43 {
			// GitHub refuses with 200.
			_, _ = w.Write([]byte(`{"error": "bad_verification_code", "error_description": "The code passed is incorrect or expired."}`))
			return
		}
		_, _ = w.Write([]byte(`{"access_token": "gho_x", "token_type": "bearer", "scope": "read:user,user:email"}`))
	})
	answer := func(pattern string, body func() string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer gho_x" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = w.Write([]byte(body()))
		})
	}
	answer("GET /user", func() string {
		return `{"id": 583231, "login": "octocat", "name": null, "email": "public@example.org"}`
	})
	answer("GET /user/emails", func() string { return *emails })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestGitHubsVerifiedPrimaryAddressCounts(t *testing.T) {
	t.Parallel()
	emails := `[{"email": "public@example.org", "primary": false, "verified": true}, {"email": "octo@example.org", "primary": true, "verified": false}]`
	server := newGitHub(t, &emails)
	f := setupFederated(t, func(c *auth.Config) {
		c.Providers = []federation.Provider{{
			ID: "github", DisplayName: "GitHub", Kind: federation.GitHub, Issuer: server.URL, API: server.URL, ClientID: "id",
			ClientSecret: config.NewSecret(issuerstub.ClientSecret),
		}}
	})
	come := func(code string) (*authv1.TokenResponse, error) {
		begun, err := f.providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: "github"})
		must(t, err)
		u, err := url.Parse(begun.GetAuthorizationUrl())
		must(t, err)
		if q := u.Query(); u.Path != "/login/oauth/authorize" || q.Get("code_challenge_method") != "S256" || q.Get("scope") != "read:user user:email" || q.Has("nonce") {
			t.Errorf("sent to %s", u)
		}
		return f.providers.FinishProviderSignIn(t.Context(), &authv1.FinishProviderSignInRequest{
			Provider: "github", State: begun.GetState(), Secret: begun.GetSecret(), Code: code,
		})
	}
	_, err := come("bad")
	wantReason(t, err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	_, err = come("good")
	wantReason(t, err, faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
	emails = strings.Replace(emails, `"verified": false`, `"verified": true`, 1)
	tokens, err := come("good")
	must(t, err)
	if u := tokens.GetUser(); u.GetEmail() != "octo@example.org" || u.GetDisplayName() != "octocat" {
		t.Errorf("came as %v", u)
	}
	if got := adminText(t, f.bundle, "SELECT subject FROM auth.identities"); got != "583231" {
		t.Errorf("known as %s", got)
	}
}

// Apple takes a secret that its client signs, and answers by a form.
func TestApplesClientSignsItsSecret(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	f := setupFederated(t, func(c *auth.Config) {
		p := &c.Providers[0]
		p.Kind, p.TeamID, p.KeyID = federation.Apple, "TEAM", "KEY"
		p.ClientSecret = config.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	})
	f.issuer.Secret = func(presented string) bool {
		token, err := jwt.Parse(presented, func(*jwt.Token) (any, error) { return key.Public(), nil }, jwt.WithValidMethods([]string{"ES256"}),
			jwt.WithIssuer("TEAM"), jwt.WithSubject(issuerstub.ClientID), jwt.WithAudience(f.issuer.URL), jwt.WithExpirationRequired(),
			jwt.WithTimeFunc(f.clock.Now))
		return err == nil && token.Header["kid"] == "KEY"
	}
	begun := f.begin(t)
	u, err := url.Parse(begun.GetAuthorizationUrl())
	must(t, err)
	if q := u.Query(); q.Get("response_mode") != "form_post" || q.Get("scope") != "openid name email" {
		t.Errorf("sent to %s", u)
	}
	who := claimsOf("1", ada)
	who["email_verified"] = "true" // as Apple writes it
	tokens, err := f.providers.FinishProviderSignIn(t.Context(), f.callback(t, begun, who))
	must(t, err)
	if tokens.GetUser().GetEmail() != ada {
		t.Errorf("came as %v", tokens.GetUser())
	}
	f.issuer.Secret = func(string) bool { return false }
	f.wantRefused(t, who, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
}

func TestProvidersAreCheckedAllAtOnce(t *testing.T) {
	t.Parallel()
	good := federation.Provider{ID: "a", Kind: federation.OpenID, Issuer: "https://a.example", ClientID: "x"}
	must(t, federation.Check([]federation.Provider{good}, []string{"https://app.example/back", "org.example.app:/x", "http://127.0.0.1/x"}))
	err := federation.Check([]federation.Provider{
		good, good, {ID: "0190b3c2-0000-7000-8000-000000000000", Kind: "other"}, {ID: "c", Kind: federation.OpenID, Issuer: "http://c.example", ClientID: "x"},
		{ID: "d", Kind: federation.GitHub, Issuer: "https://d.example", ClientID: "x"}, {ID: "e", Kind: federation.Apple, Issuer: "https://e.example", ClientID: "x"},
	}, []string{"http://evil.example", "javascript:alert(1)", "app:/x", "https://a.example/#x"})
	for _, want := range []string{
		`"a": there are two`, "the id must", "the client id", `no kind "other"`, "must be https", `"d": the API`, `"d": the client secret`,
		`"e": the team`, `"e": the private key must be PEM`, `redirect "http://evil.example"`, `redirect "javascript:`, `redirect "app:/x"`, `#x"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell of %s", err, want)
		}
	}
	raw, _ := json.Marshal(federation.Provider{ClientSecret: config.NewSecret("hunter2")})
	if strings.Contains(string(raw), "hunter2") {
		t.Error("a secret prints")
	}
}
