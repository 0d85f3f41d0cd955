package federation_test

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
	if m := server.Wait(t, authtest.Ada, "Sign-in by ACME was set up"); !strings.Contains(m.Text, "ACME") {
		t.Errorf("the email is %q", m.Text)
	}
	came, err := f.SignInAs(t, claimsOf("1", "ada@elsewhere.example"))
	authtest.Must(t, err)
	if came.GetUser().GetId() != p.UserID {
		t.Errorf("signed in as %v", came.GetUser())
	}
	listed, err := f.Identities.ListIdentities(authtest.With(t.Context(), tokens), &authv1.ListIdentitiesRequest{})
	authtest.Must(t, err)
	if items := listed.GetIdentities(); len(items) != 1 || items[0].GetId() != linked.GetId() || items[0].GetLastUsedTime() == nil {
		t.Errorf("listed %v", items)
	}
	authtest.Must(t, f.RemoveIdentity(t, tokens, linked.GetId()))
	server.Wait(t, authtest.Ada, "Sign-in by ACME was removed")
	authtest.WantReason(t, f.RemoveIdentity(t, tokens, linked.GetId()), faultv1.Reason_REASON_NOT_FOUND)
	authtest.WantActions(t, f.Bundle, p.OrganizationID, "auth.user.created", "auth.session.created", "auth.identity.linked", "auth.session.created", "auth.identity.removed")
}

func TestFinishIdentity_LinkedElsewhere_IsRefused(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	mine, _ := f.SignUp(t, authtest.Ada)
	eve, _ := f.SignUp(t, "eve@example.org")
	linked := f.LinkTo(t, mine, claimsOf("1", authtest.Ada))
	for _, tokens := range []*authv1.TokenResponse{mine, eve} {
		begun, err := f.BeginLink(t, tokens)
		authtest.Must(t, err)
		_, err = f.FinishLink(t, begun, claimsOf("1", authtest.Ada))
		authtest.WantReason(t, err, faultv1.Reason_REASON_ALREADY_EXISTS)
	}
	authtest.WantReason(t, f.RemoveIdentity(t, eve, linked.GetId()), faultv1.Reason_REASON_NOT_FOUND)
	// An attempt to link cannot sign in, nor the reverse.
	begun, err := f.BeginLink(t, eve)
	authtest.Must(t, err)
	_, err = f.Providers.FinishProviderSignIn(t.Context(), f.Callback(t, begun, claimsOf("2", "new@example.org")))
	authtest.WantReason(t, err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	_, err = f.FinishLink(t, f.Begin(t), claimsOf("2", "new@example.org"))
	authtest.WantReason(t, err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
}

// S21: an attempt to link ends with the session that began it.
func TestS21LinkingEndsWithSession(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	tokens, _ := f.SignUp(t, authtest.Ada)
	begun, err := f.BeginLink(t, tokens)
	authtest.Must(t, err)
	_, err = f.Sessions.SignOut(t.Context(), &authv1.SignOutRequest{RefreshToken: tokens.GetRefreshToken()})
	authtest.Must(t, err)
	_, err = f.FinishLink(t, begun, claimsOf("1", authtest.Ada))
	authtest.WantReason(t, err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	tokens = f.SignIn(t, authtest.Ada)
	begun, err = f.BeginLink(t, tokens)
	authtest.Must(t, err)
	authtest.Must(t, f.Service.DisableUser(t.Context(), authtest.Ada, true))
	_, err = f.FinishLink(t, begun, claimsOf("1", authtest.Ada))
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
	begun := f.Begin(t)
	u, err := url.Parse(begun.GetAuthorizationUrl())
	authtest.Must(t, err)
	stored := authtest.AdminText(t, f.Bundle, "SELECT string_agg(a::text, ' ') FROM auth.provider_attempts a")
	for _, secret := range []string{begun.GetState(), begun.GetSecret(), u.Query().Get("nonce")} {
		if secret == "" || strings.Contains(stored, secret) || strings.Contains(begun.GetAuthorizationUrl(), begun.GetSecret()) {
			t.Errorf("%q is stored or sent in plain text: %s", secret, stored)
		}
	}
}

// Microsoft's tenants set the addresses of their users freely, and each is its own
// issuer.
func TestMicrosoft_TenantAddress_IsNotVerified(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t, func(c *auth.Config) {
		c.Providers[0].Kind = federation.Microsoft
		c.Providers[0].Issuer += "/common/v2.0"
	})
	const tenant, other = "72f988bf-86f1-41af-91ab-2d7cd011db47", "9188040d-6c67-4c5b-b112-36a304b66dad"
	base := f.Issuer.URL
	f.Issuer.Metadata = func(m map[string]any) { m["issuer"] = base + "/{tenantid}/v2.0" }
	of := func(iss, tid string, more map[string]any) map[string]any {
		out := claimsOf("1", authtest.Ada)
		out["iss"], out["tid"] = iss, tid
		for name, value := range more {
			out[name] = value
		}
		return out
	}
	f.WantRefused(t, of(base+"/"+tenant+"/v2.0", tenant, nil), faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
	f.WantRefused(t, of(base+"/"+tenant+"/v2.0", tenant, map[string]any{"xms_edov": false}), faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
	for _, wrong := range [][2]string{
		{base + "/" + other + "/v2.0", tenant}, {base + "/" + tenant + "/v2.0", ""}, {base + "/{tenantid}/v2.0", "{tenantid}"},
		{"https://evil.example/" + tenant + "/v2.0", tenant}, {base + "/" + tenant + "/v1.0", tenant}, {base + "/../v2.0", ".."},
	} {
		f.WantRefused(t, of(wrong[0], wrong[1], map[string]any{"xms_edov": true}), faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	}
	tokens, err := f.SignInAs(t, of(base+"/"+tenant+"/v2.0", tenant, map[string]any{"xms_edov": "1"}))
	authtest.Must(t, err)
	if tokens.GetUser().GetEmail() != authtest.Ada {
		t.Errorf("signed in as %v", tokens.GetUser())
	}
	// The same subject of another tenant is another user.
	f.WantRefused(t, of(base+"/"+other+"/v2.0", other, map[string]any{"xms_edov": true}), faultv1.Reason_REASON_IDENTITY_NOT_LINKED)
}

// newGitHub serves GitHub's half of a sign-in, as its documentation describes it.
func newGitHub(t *testing.T, emails *string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login/oauth/access_token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.PostFormValue("code") != "good" || r.PostFormValue("client_secret") != issuerstub.ClientSecret || len(r.PostFormValue("code_verifier")) != 43 {
			// GitHub returns errors with the status 200.
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

func TestGitHub_UsesVerifiedPrimaryAddress(t *testing.T) {
	t.Parallel()
	emails := `[{"email": "public@example.org", "primary": false, "verified": true}, {"email": "octo@example.org", "primary": true, "verified": false}]`
	server := newGitHub(t, &emails)
	f := authtest.SetupFederated(t, func(c *auth.Config) {
		c.Providers = []federation.Provider{{
			ID: "github", DisplayName: "GitHub", Kind: federation.GitHub, Issuer: server.URL, API: server.URL, ClientID: "id",
			ClientSecret: config.NewSecret(issuerstub.ClientSecret),
		}}
	})
	come := func(code string) (*authv1.TokenResponse, error) {
		begun, err := f.Providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: "github"})
		authtest.Must(t, err)
		u, err := url.Parse(begun.GetAuthorizationUrl())
		authtest.Must(t, err)
		if q := u.Query(); u.Path != "/login/oauth/authorize" || q.Get("code_challenge_method") != "S256" || q.Get("scope") != "read:user user:email" || q.Has("nonce") {
			t.Errorf("the authorization URL is %s", u)
		}
		return f.Providers.FinishProviderSignIn(t.Context(), &authv1.FinishProviderSignInRequest{
			Provider: "github", State: begun.GetState(), Secret: begun.GetSecret(), Code: code,
		})
	}
	_, err := come("bad")
	authtest.WantReason(t, err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	_, err = come("good")
	authtest.WantReason(t, err, faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
	emails = strings.Replace(emails, `"verified": false`, `"verified": true`, 1)
	tokens, err := come("good")
	authtest.Must(t, err)
	if u := tokens.GetUser(); u.GetEmail() != "octo@example.org" || u.GetDisplayName() != "octocat" {
		t.Errorf("signed in as %v", u)
	}
	if got := authtest.AdminText(t, f.Bundle, "SELECT subject FROM auth.identities"); got != "583231" {
		t.Errorf("the identity is %s", got)
	}
}

// Apple requires a secret that the client signs, and responds with a form.
func TestApple_ClientSignsSecretAndGetsForm(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	authtest.Must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	authtest.Must(t, err)
	f := authtest.SetupFederated(t, func(c *auth.Config) {
		p := &c.Providers[0]
		p.Kind, p.TeamID, p.KeyID = federation.Apple, "TEAM", "KEY"
		p.ClientSecret = config.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	})
	f.Issuer.CheckSecret = func(presented string) bool {
		token, err := jwt.Parse(presented, func(*jwt.Token) (any, error) { return key.Public(), nil }, jwt.WithValidMethods([]string{"ES256"}),
			jwt.WithIssuer("TEAM"), jwt.WithSubject(issuerstub.ClientID), jwt.WithAudience(f.Issuer.URL), jwt.WithExpirationRequired(),
			jwt.WithTimeFunc(f.Clock.Now))
		return err == nil && token.Header["kid"] == "KEY"
	}
	begun := f.Begin(t)
	u, err := url.Parse(begun.GetAuthorizationUrl())
	authtest.Must(t, err)
	if q := u.Query(); q.Get("response_mode") != "form_post" || q.Get("scope") != "openid name email" {
		t.Errorf("the authorization URL is %s", u)
	}
	profile := claimsOf("1", authtest.Ada)
	profile["email_verified"] = "true" // as Apple writes it
	tokens, err := f.Providers.FinishProviderSignIn(t.Context(), f.Callback(t, begun, profile))
	authtest.Must(t, err)
	if tokens.GetUser().GetEmail() != authtest.Ada {
		t.Errorf("signed in as %v", tokens.GetUser())
	}
	f.Issuer.CheckSecret = func(string) bool { return false }
	f.WantRefused(t, profile, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
}

func TestCheck_ReportsEveryProblem(t *testing.T) {
	t.Parallel()
	good := federation.Provider{ID: "a", Kind: federation.OpenID, Issuer: "https://a.example", ClientID: "x"}
	authtest.Must(t, federation.Check([]federation.Provider{good}, []string{"https://app.example/callback", "org.example.app:/x", "http://127.0.0.1/x"}))
	err := federation.Check([]federation.Provider{
		good, good, {ID: "0190b3c2-0000-7000-8000-000000000000", Kind: "other"}, {ID: "c", Kind: federation.OpenID, Issuer: "http://c.example", ClientID: "x"},
		{ID: "d", Kind: federation.GitHub, Issuer: "https://d.example", ClientID: "x"}, {ID: "e", Kind: federation.Apple, Issuer: "https://e.example", ClientID: "x"},
	}, []string{"http://evil.example", "javascript:alert(1)", "app:/x", "https://a.example/#x"})
	for _, want := range []string{
		`"a": the id is used twice`, "the id must", "the client id", `the kind "other" is unknown`, "must be https", `"d": the API`, `"d": the client secret`,
		`"e": the team`, `"e": the private key must be PEM`, `redirect "http://evil.example"`, `redirect "javascript:`, `redirect "app:/x"`, `#x"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not contain %s", err, want)
		}
	}
	raw, _ := json.Marshal(federation.Provider{ClientSecret: config.NewSecret("hunter2")})
	if strings.Contains(string(raw), "hunter2") {
		t.Error("a secret is printed")
	}
}
