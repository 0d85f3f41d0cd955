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

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse/gatehouse/platform/config"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/federation"
	"github.com/gatehouse/gatehouse/services/auth/federation/issuerstub"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

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
		started, err := f.Providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: "github"})
		authtest.Must(t, err)
		u, err := url.Parse(started.GetAuthorizationUrl())
		authtest.Must(t, err)
		if q := u.Query(); u.Path != "/login/oauth/authorize" || q.Get("code_challenge_method") != "S256" || q.Get("scope") != "read:user user:email" || q.Has("nonce") {
			t.Errorf("the authorization URL is %s", u)
		}
		return f.Providers.FinishProviderSignIn(t.Context(), &authv1.FinishProviderSignInRequest{
			Provider: "github", State: started.GetState(), Secret: started.GetSecret(), Code: code,
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
	started := f.Begin(t)
	u, err := url.Parse(started.GetAuthorizationUrl())
	authtest.Must(t, err)
	if q := u.Query(); q.Get("response_mode") != "form_post" || q.Get("scope") != "openid name email" {
		t.Errorf("the authorization URL is %s", u)
	}
	profile := claimsOf("1", authtest.Ada)
	profile["email_verified"] = "true" // as Apple writes it
	tokens, err := f.Providers.FinishProviderSignIn(t.Context(), f.Callback(t, started, profile))
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
