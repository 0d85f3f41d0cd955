package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/gateway"
	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const acme = "/v1/auth/providers/acme"

func (d *double) attempt(provider, returnTo string) (*authv1.ProviderAttempt, error) {
	if provider != "acme" {
		return nil, fault.NotFound("identity provider")
	}
	return &authv1.ProviderAttempt{
		AuthorizationUrl: "https://acme.example/authorize?state=the-state", State: "the-state", Secret: "the-secret", ReturnTo: returnTo,
	}, nil
}

func (d *double) BeginProviderSignIn(_ context.Context, req *authv1.BeginProviderSignInRequest) (*authv1.ProviderAttempt, error) {
	return d.attempt(req.GetProvider(), req.GetReturnTo())
}

func (d *double) BeginIdentity(_ context.Context, req *authv1.BeginIdentityRequest) (*authv1.ProviderAttempt, error) {
	return d.attempt(req.GetProvider(), req.GetReturnTo())
}

func (d *double) FinishProviderSignIn(_ context.Context, req *authv1.FinishProviderSignInRequest) (*authv1.TokenResponse, error) {
	if d.finishProvider == nil {
		return nil, errors.ErrUnsupported
	}
	return d.finishProvider(req)
}

func (d *double) FinishIdentity(_ context.Context, req *authv1.FinishIdentityRequest) (*authv1.Identity, error) {
	if d.finishIdentity == nil {
		return nil, errors.ErrUnsupported
	}
	return &authv1.Identity{}, d.finishIdentity(req)
}

func (d *double) SignInMfa(_ context.Context, req *authv1.SignInMfaRequest) (*authv1.TokenResponse, error) {
	if d.answerMfa == nil {
		return nil, errors.ErrUnsupported
	}
	return d.answerMfa(req)
}

func signedIn() *authv1.TokenResponse {
	return &authv1.TokenResponse{AccessToken: "the-access", RefreshToken: "the-refresh", TokenType: "Bearer"}
}

// navigate opens a page as a browser does, and follows no redirect.
func (h *harness) navigate(method, path, body string, headers ...string) reply {
	h.t.Helper()
	h.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return h.call(method, path, body, headers...)
}

// cookie returns a cookie that a response sets.
func (a reply) cookie(name string) (value, raw string) {
	for _, c := range a.Cookies() {
		if c.Name == name {
			return c.Value, c.Raw
		}
	}
	return "", ""
}

// begin opens the start route, and returns the cookie that it sets.
func (h *harness) begin(returnTo string) string {
	h.t.Helper()
	a := h.navigate("GET", acme+"/start?"+url.Values{"returnTo": {returnTo}}.Encode(), "")
	value, raw := a.cookie("gh_attempt")
	if a.StatusCode != 303 || a.Header.Get("Location") != "https://acme.example/authorize?state=the-state" || strings.Contains(a.body, "the-secret") {
		h.t.Fatalf("start: %d %v", a.StatusCode, a.Header)
	}
	for _, want := range []string{"HttpOnly", "SameSite=Lax", "Path=/v1/auth/providers;", "Max-Age=600"} {
		if !strings.Contains(raw, want) {
			h.t.Errorf("the cookie %s does not have %s", raw, want)
		}
	}
	return "gh_attempt=" + value
}

func TestProvider_SignIn_SetsSessionCookies(t *testing.T) {
	t.Parallel()
	d := &double{}
	var got *authv1.FinishProviderSignInRequest
	d.finishProvider = func(req *authv1.FinishProviderSignInRequest) (*authv1.TokenResponse, error) {
		got = req
		return signedIn(), nil
	}
	h := start(t, d, inMemory)
	cookie := h.begin("/chat?x=1")
	a := h.navigate("GET", acme+"/callback?state=the-state&code=the-code&iss=https://acme.example", "", "Cookie", cookie)
	if a.StatusCode != 303 || a.Header.Get("Location") != "/chat?x=1" || a.body != "" {
		t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
	}
	if got.GetProvider() != "acme" || got.GetState() != "the-state" || got.GetSecret() != "the-secret" || got.GetCode() != "the-code" || got.GetIss() != "https://acme.example" {
		t.Errorf("finished with %v", got)
	}
	if value, raw := a.cookie("gh_refresh"); value != "the-refresh" || !strings.Contains(raw, "HttpOnly") || !strings.Contains(raw, "SameSite=Strict") {
		t.Errorf("the session is %s", raw)
	}
	if value, _ := a.cookie("gh_gen"); value != "1" {
		t.Errorf("generation %s", value)
	}
	if _, raw := a.cookie("gh_attempt"); !strings.Contains(raw, "Max-Age=0") {
		t.Errorf("the attempt stays: %s", raw)
	}
	if log := h.log.String(); strings.Contains(log, "the-code") || strings.Contains(log, "the-secret") || !strings.Contains(log, "{provider}/callback") {
		t.Errorf("the log has %s", log)
	}
}

// Login CSRF: a callback in a browser that has not started a sign-in is refused.
func TestProvider_CallbackWithoutCookie_IsRefused(t *testing.T) {
	t.Parallel()
	d := &double{}
	h := start(t, d, inMemory)
	for _, cookie := range []string{
		"", "gh_attempt=", "gh_attempt=the-secret", "gh_attempt=sign-in.the-secret", "gh_attempt=other.the-secret.Lw", "gh_attempt=sign-in.the-secret.~", "gh_other=sign-in.the-secret.Lw",
	} {
		a := h.navigate("GET", acme+"/callback?state=the-state&code=the-code", "", "Cookie", cookie)
		if a.StatusCode != 401 || !strings.Contains(a.body, "not signed in") || strings.Contains(a.body, "the-code") {
			t.Errorf("%q: %d %s", cookie, a.StatusCode, a.body)
		}
	}
	for _, query := range []string{"?error=access_denied&state=the-state", "?state=the-state", "?code=the-code", ""} {
		if a := h.navigate("GET", acme+"/callback"+query, "", "Cookie", "gh_attempt=sign-in.the-secret.Lw"); a.StatusCode != 401 {
			t.Errorf("%q: %d %s", query, a.StatusCode, a.body)
		}
	}
	if d.calls != 0 {
		t.Errorf("%d calls were made", d.calls)
	}
}

// A browser sends no cookie with a form of another site. It is redirected, and sends the
// cookie with the next request.
func TestProvider_CallbackByForm_RedirectsToGet(t *testing.T) {
	t.Parallel()
	d := &double{}
	h := start(t, d, inMemory)
	sent := url.Values{"state": {"the-state"}, "code": {"a&b=c"}, "user": {`{"name": "Ada"}`}, "returnTo": {"//evil.example"}}
	a := h.navigate("POST", acme+"/callback", sent.Encode(), "Content-Type", "application/x-www-form-urlencoded",
		"Origin", "https://appleid.apple.com", "Sec-Fetch-Site", "cross-site")
	if want := acme + "/callback?code=a%26b%3Dc&state=the-state"; a.StatusCode != 303 || a.Header.Get("Location") != want || len(a.Cookies()) != 0 {
		t.Errorf("%d to %s", a.StatusCode, a.Header.Get("Location"))
	}
	if a := h.navigate("POST", acme+"/callback", "{}"); a.StatusCode != 415 {
		t.Errorf("JSON: %d", a.StatusCode)
	}
	if a := h.navigate("PUT", acme+"/callback", "{}"); a.StatusCode != 405 || a.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("PUT: %d, Allow %q", a.StatusCode, a.Header.Get("Allow"))
	}
	if d.calls != 0 {
		t.Errorf("%d calls were made", d.calls)
	}
}

// S38: when a second factor is enrolled, the page asks for it, without a script.
func TestS38AProviderSignInAsksForTheSecondFactor(t *testing.T) {
	t.Parallel()
	d := &double{finishProvider: func(*authv1.FinishProviderSignInRequest) (*authv1.TokenResponse, error) {
		return &authv1.TokenResponse{MfaChallenge: &authv1.MfaChallenge{Id: "the-challenge", Methods: []string{"passkey", "recovery_code"}}}, nil
	}}
	d.answerMfa = func(req *authv1.SignInMfaRequest) (*authv1.TokenResponse, error) {
		if req.GetChallengeId() != "the-challenge" || req.GetCode() != "123456" {
			return nil, fault.New(faultv1.Reason_REASON_FACTOR_INVALID, "the code is wrong")
		}
		return signedIn(), nil
	}
	h := start(t, d, inMemory)
	a := h.navigate("GET", acme+"/callback?state=the-state&code=the-code", "", "Cookie", h.begin("/chat"))
	page := a.Header.Get("Location")
	if value, _ := a.cookie("gh_refresh"); a.StatusCode != 303 || !strings.HasPrefix(page, "/account/challenge?") || value != "" {
		t.Fatalf("%d %v", a.StatusCode, a.Header)
	}
	shown := h.navigate("GET", page, "")
	if shown.StatusCode != 200 || !strings.Contains(shown.body, `value="the-challenge"`) || !strings.Contains(shown.body, `data-return-to="/chat"`) ||
		!strings.Contains(shown.body, "/pages/challenge.js") || !strings.Contains(shown.Header.Get("Content-Security-Policy"), "script-src 'self'") {
		t.Errorf("%d %s", shown.StatusCode, shown.body)
	}
	if a := h.navigate("GET", strings.Replace(page, "passkey", "totp", 1), ""); strings.Contains(a.body, "challenge.js") || !strings.Contains(a.body, "authenticator") {
		t.Errorf("without a passkey: %s", a.body)
	}
	values := url.Values{"code": {"the-challenge"}, "returnTo": {"/chat"}, "methods": {"totp"}, "factor": {"000000"}}
	resp, body := h.sendForm("/account/challenge", "same-origin", values)
	if resp.StatusCode != 401 || !strings.Contains(body, "the code is wrong") || !strings.Contains(body, `value="the-challenge"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	values.Set("factor", " 123456 ")
	resp, _ = h.sendForm("/account/challenge", "same-origin", values)
	if value, _ := (reply{Response: resp}).cookie("gh_refresh"); resp.StatusCode != 303 || resp.Header.Get("Location") != "/chat" || value != "the-refresh" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if resp, _ := h.sendForm("/account/challenge", "cross-site", values); resp.StatusCode != 403 {
		t.Errorf("from another site: %d", resp.StatusCode)
	}
}

func TestProvider_ReturnTo_StaysOnThisOrigin(t *testing.T) {
	t.Parallel()
	d := &double{finishProvider: func(*authv1.FinishProviderSignInRequest) (*authv1.TokenResponse, error) { return signedIn(), nil }}
	h := start(t, d, inMemory)
	for path, want := range map[string]string{
		"/a/b?c=d#e": "/a/b?c=d#e", "": "/", "/": "/", "a": "/", "//evil.example": "/", `/\evil.example`: "/", "https://evil.example": "/",
		"/\t/evil.example": "/", "/a\r\nSet-Cookie: b=c": "/", " //evil.example": "/", "javascript:alert(1)": "/", "/\x7f/evil.example": "/",
	} {
		// The double accepts a path that the contract refuses, because the browser can change
		// its cookie.
		a := h.navigate("GET", acme+"/callback?state=the-state&code=the-code", "", "Cookie", h.begin(path))
		if got := a.Header.Get("Location"); got != want {
			t.Errorf("%q leads to %q", path, got)
		}
	}
}

func TestProvider_LinksIdentity(t *testing.T) {
	t.Parallel()
	d := &double{}
	var got *authv1.FinishIdentityRequest
	d.finishIdentity = func(req *authv1.FinishIdentityRequest) error {
		got = req
		if req.GetCode() != "the-code" {
			return fault.New(faultv1.Reason_REASON_ALREADY_EXISTS, "this identity is linked to an account")
		}
		return nil
	}
	h := start(t, d, inMemory, configured(func(c *gateway.Config) { c.CORSOrigins = []string{"https://app.example"} }))
	begun := h.call("POST", "/v1/me/identities/acme:begin", `{"session": "COOKIE", "returnTo": "/settings"}`, "Origin", "https://app.example")
	value, _ := begun.cookie("gh_attempt")
	if begun.StatusCode != 200 || value == "" || strings.Contains(begun.body, "the-secret") || !strings.Contains(begun.body, "acme.example/authorize") {
		t.Fatalf("%d %s", begun.StatusCode, begun.body)
	}
	a := h.navigate("GET", acme+"/callback?state=the-state&code=the-code", "", "Cookie", "gh_attempt="+value)
	if a.StatusCode != 303 || a.Header.Get("Location") != "/settings" || got.GetSecret() != "the-secret" {
		t.Errorf("%d %v: %v", a.StatusCode, a.Header, got)
	}
	a = h.navigate("GET", acme+"/callback?state=the-state&code=another", "", "Cookie", "gh_attempt="+value)
	if a.StatusCode != 409 || !strings.Contains(a.body, "is linked to an account") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := h.call("POST", acme+":begin", `{"session": "COOKIE"}`, "Origin", "https://evil.example"); a.StatusCode != 403 || len(a.Cookies()) != 0 {
		t.Errorf("a foreign page begins: %d", a.StatusCode)
	}
	if a := h.call("POST", acme+":begin", `{}`); a.StatusCode != 200 || !strings.Contains(a.body, `"secret":"the-secret"`) || len(a.Cookies()) != 0 {
		t.Errorf("a program begins: %d %s", a.StatusCode, a.body)
	}
	if a := h.navigate("GET", "/v1/auth/providers/other/start", ""); a.StatusCode != 404 || len(a.Cookies()) != 0 {
		t.Errorf("an unknown provider: %d", a.StatusCode)
	}
}
