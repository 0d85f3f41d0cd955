package federation_test

import (
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/federation/issuerstub"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestAttempt_WorksOnceForItsClientForTenMinutes(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t, func(c *auth.Config) {
		other := c.Providers[0]
		other.ID = "other"
		c.Providers = append(c.Providers, other)
	})
	profile := claimsOf("1", "ada@example.org")
	refuse := func(what string, callback *authv1.FinishProviderSignInRequest) {
		t.Helper()
		if _, err := f.Providers.FinishProviderSignIn(t.Context(), callback); !fault.Is(err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED) {
			t.Errorf("%s: %v", what, err)
		}
	}
	own, other := f.Begin(t), f.Begin(t)
	callback := f.Callback(t, own, profile)
	change := func(edit func(*authv1.FinishProviderSignInRequest)) *authv1.FinishProviderSignInRequest {
		out := &authv1.FinishProviderSignInRequest{Provider: callback.GetProvider(), State: callback.GetState(), Secret: callback.GetSecret(), Code: callback.GetCode()}
		edit(out)
		return out
	}
	refuse("without its secret", change(func(r *authv1.FinishProviderSignInRequest) { r.Secret = "unknown" }))
	refuse("with the secret of another attempt", change(func(r *authv1.FinishProviderSignInRequest) { r.Secret = other.GetSecret() }))
	refuse("with the state of another attempt", change(func(r *authv1.FinishProviderSignInRequest) { r.State = other.GetState() }))
	refuse("at another provider", change(func(r *authv1.FinishProviderSignInRequest) { r.Provider = "other" }))
	mixedUp := f.Callback(t, f.Begin(t), profile)
	mixedUp.Iss = "https://evil.example"
	refuse("of another issuer", mixedUp)
	// A leaked code does not work in another attempt.
	refuse("with a code of another attempt", &authv1.FinishProviderSignInRequest{
		Provider: "acme", State: other.GetState(), Secret: other.GetSecret(), Code: f.Callback(t, f.Begin(t), profile).GetCode(),
	})
	_, err := f.Providers.FinishProviderSignIn(t.Context(), callback)
	authtest.Must(t, err)
	refuse("again", callback)

	late := f.Callback(t, f.Begin(t), profile)
	f.Clock.Advance(10*time.Minute + time.Second)
	refuse("after ten minutes", late)

	const racers = 6
	raced := f.Callback(t, f.Begin(t), profile)
	errs := make([]error, racers)
	var group sync.WaitGroup
	for i := range racers {
		group.Go(func() { _, errs[i] = f.Providers.FinishProviderSignIn(t.Context(), raced) })
	}
	group.Wait()
	if won := racers - len(slices.DeleteFunc(errs, func(err error) bool { return err == nil })); won != 1 {
		t.Errorf("one attempt signed in %d times", won)
	}
}

func TestFinishSignIn_InvalidIDToken_IsRefused(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	authtest.Must(t, func() error { _, err := f.SignInAs(t, claimsOf("1", "ada@example.org")); return err }())
	spoilt := map[string]func(header, claims map[string]any){
		"another issuer":            func(_, c map[string]any) { c["iss"] = "https://evil.example" },
		"another audience":          func(_, c map[string]any) { c["aud"] = "another" },
		"no audience":               func(_, c map[string]any) { delete(c, "aud") },
		"a second audience":         func(_, c map[string]any) { c["aud"] = []string{issuerstub.ClientID, "another"} },
		"another party":             func(_, c map[string]any) { c["azp"] = "another" },
		"another attempt's nonce":   func(_, c map[string]any) { c["nonce"] = "another" },
		"no nonce":                  func(_, c map[string]any) { delete(c, "nonce") },
		"expired":                   func(_, c map[string]any) { c["exp"] = f.Clock.Now().Add(-time.Minute).Unix() },
		"without end":               func(_, c map[string]any) { delete(c, "exp") },
		"not yet":                   func(_, c map[string]any) { c["nbf"] = f.Clock.Now().Add(time.Hour).Unix() },
		"of another access token":   func(_, c map[string]any) { c["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" },
		"an unknown key":            func(h, _ map[string]any) { h["kid"] = "another" },
		"nobody":                    func(_, c map[string]any) { delete(c, "sub") },
		"a subject without end":     func(_, c map[string]any) { c["sub"] = strings.Repeat("1", 256) },
		"a subject that is no text": func(_, c map[string]any) { c["sub"] = "1\x00" },
	}
	for what, spoil := range spoilt {
		f.Issuer.EditToken = spoil
		if _, err := f.SignInAs(t, claimsOf("1", "ada@example.org")); !fault.Is(err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED) {
			t.Errorf("%s: %v", what, err)
		}
	}
	f.Issuer.EditToken = nil
	for what, forge := range map[string]func(string) string{
		"no token":     func(string) string { return "" },
		"no algorithm": func(token string) string { return "eyJhbGciOiJub25lIn0" + token[strings.Index(token, "."):] },
		"a symmetric algorithm": func(token string) string {
			return "eyJhbGciOiJIUzI1NiIsImtpZCI6ImtleSJ9" + token[strings.Index(token, "."):]
		},
		"another signature": func(token string) string {
			return token[:strings.LastIndex(token, ".")+1] + strings.Repeat("A", 86)
		},
		"no signature": func(token string) string { return token[:strings.LastIndex(token, ".")+1] },
	} {
		f.Issuer.ReplaceToken = forge
		if _, err := f.SignInAs(t, claimsOf("1", "ada@example.org")); !fault.Is(err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED) {
			t.Errorf("%s: %v", what, err)
		}
	}
	f.Issuer.ReplaceToken = nil
	_, err := f.SignInAs(t, claimsOf("1", "ada@example.org"))
	authtest.Must(t, err)
	// S1: a symmetric algorithm is refused, even if the issuer lists it.
	g := authtest.SetupFederated(t)
	g.Issuer.Metadata = func(m map[string]any) {
		m["id_token_signing_alg_values_supported"] = []string{"none", "HS256", "ES256"}
	}
	_, err = g.SignInAs(t, claimsOf("1", "ada@example.org"))
	authtest.Must(t, err)
	g.Issuer.ReplaceToken = func(token string) string {
		claims := jwt.MapClaims{}
		_, _, err := jwt.NewParser().ParseUnverified(token, claims)
		authtest.Must(t, err)
		forged, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(issuerstub.ClientSecret))
		authtest.Must(t, err)
		return forged
	}
	g.WantRefused(t, claimsOf("1", "ada@example.org"), faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
}

func TestFinishSignIn_IssParameter_IsComparedWherePromised(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	f.Issuer.Metadata = func(m map[string]any) { m["authorization_response_iss_parameter_supported"] = true }
	f.WantRefused(t, claimsOf("1", "ada@example.org"), faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	callback := f.Callback(t, f.Begin(t), claimsOf("1", "ada@example.org"))
	callback.Iss = f.Issuer.URL
	_, err := f.Providers.FinishProviderSignIn(t.Context(), callback)
	authtest.Must(t, err)
}

func TestS58BrokenProviderIsUnavailable(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(map[string]any){
		"another issuer":  func(m map[string]any) { m["issuer"] = "https://evil.example" },
		"plain addresses": func(m map[string]any) { m["token_endpoint"] = "http://evil.example/token" },
		"a script":        func(m map[string]any) { m["authorization_endpoint"] = "javascript:alert(1)" },
		"no keys":         func(m map[string]any) { delete(m, "jwks_uri") },
	} {
		f := authtest.SetupFederated(t)
		f.Issuer.Metadata = change
		_, err := f.Providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: "acme"})
		if !fault.Is(err, faultv1.Reason_REASON_IDENTITY_PROVIDER_UNAVAILABLE) || strings.Contains(fault.From(err).Detail(), "127.0.0.1") {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A discovery that failed is repeated after some seconds.
	f := authtest.SetupFederated(t)
	f.Issuer.Metadata = func(m map[string]any) { m["issuer"] = "https://evil.example" }
	for want, wait := range []time.Duration{0, 0, 5 * time.Second} {
		f.Clock.Advance(wait)
		_, err := f.Providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: "acme"})
		authtest.WantReason(t, err, faultv1.Reason_REASON_IDENTITY_PROVIDER_UNAVAILABLE)
		if n := f.Issuer.Requests("/.well-known/openid-configuration"); n != max(1, want) {
			t.Errorf("%d requests, want %d", n, max(1, want))
		}
	}
	// A token that cannot be checked is neither refused nor accepted.
	f = authtest.SetupFederated(t)
	f.Issuer.Broken = true
	f.WantRefused(t, claimsOf("1", "ada@example.org"), faultv1.Reason_REASON_IDENTITY_PROVIDER_UNAVAILABLE)
	f.Issuer.Broken = false
	_, err := f.SignInAs(t, claimsOf("1", "ada@example.org"))
	authtest.Must(t, err)

	f = authtest.SetupFederated(t, func(c *auth.Config) { c.Providers[0].Issuer = "http://127.0.0.1:1" })
	_, err = f.Providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: "acme"})
	authtest.WantReason(t, err, faultv1.Reason_REASON_IDENTITY_PROVIDER_UNAVAILABLE)
	_, err = f.Providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: "unknown"})
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
}

func TestBeginSignIn_UnlistedRedirect_IsRefused(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	for redirect, want := range map[string]string{
		"": rpctest.Issuer + "/v1/auth/providers/acme/callback", authtest.AppRedirect: authtest.AppRedirect,
	} {
		started, err := f.Providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: "acme", RedirectUri: redirect, ReturnTo: "/chat?x=1"})
		authtest.Must(t, err)
		u, err := url.Parse(started.GetAuthorizationUrl())
		authtest.Must(t, err)
		if got := u.Query().Get("redirect_uri"); got != want || started.GetReturnTo() != "/chat?x=1" {
			t.Errorf("sent back to %s and %s", got, started.GetReturnTo())
		}
	}
	for _, redirect := range []string{"https://evil.example", authtest.AppRedirect + "/x", "org.example.app:", strings.ToUpper(authtest.AppRedirect)} {
		_, err := f.Providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: "acme", RedirectUri: redirect})
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != "redirectUri" {
			t.Errorf("%s: %v", redirect, err)
		}
	}
	for _, path := range []string{"//evil.example", `/\evil.example`, "https://evil.example", "chat", "/\t/evil.example", "/ok\\..", "/a\nb", "javascript:alert(1)"} {
		_, err := f.Providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: "acme", ReturnTo: path})
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != "returnTo" {
			t.Errorf("%q: %v", path, err)
		}
	}
}
