package gateway_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// sendForm sends a form as a browser does.
func (h *harness) sendForm(path, site string, values url.Values) (*http.Response, string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url+path, strings.NewReader(values.Encode()))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", site)
	resp, err := h.client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp, string(body)
}

// Opening a link does not use it up, because mail filters and previews open it too.
func TestForm_Get_ShowsFormWithoutCall(t *testing.T) {
	t.Parallel()
	d := &double{}
	h := start(t, d, inMemory)
	inline := regexp.MustCompile(`(?i)<script|<style|\sstyle=|\son\w+=|javascript:`)
	for _, path := range []string{"/account/verify", "/account/reset", "/account/sign-in"} {
		a := h.call("GET", path+`?code=abc"><script>alert(1)</script>`, "")
		if a.StatusCode != 200 || !strings.Contains(a.body, `method="post" action="`+path+`"`) || inline.MatchString(a.body) ||
			!strings.Contains(a.body, `value="abc&#34;`) || !strings.Contains(a.body, `<main id="main"`) || strings.Count(a.body, "<h1") != 1 {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
		policy := a.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "form-action 'self'") || strings.Contains(policy, "script-src") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Referrer-Policy") != "strict-origin" {
			t.Errorf("%s: %v", path, a.Header)
		}
		if head := h.call("HEAD", path+"?code=abc", ""); head.StatusCode != 200 || head.body != "" {
			t.Errorf("HEAD %s: %d", path, head.StatusCode)
		}
		for _, query := range []string{"", "?code=", "?code=" + strings.Repeat("a", 257)} {
			if a := h.call("GET", path+query, ""); a.StatusCode != 200 || strings.Contains(a.body, "<form") {
				t.Errorf("%s without a code: %d %s", path, a.StatusCode, a.body)
			}
		}
		if a := h.call("PUT", path, "{}"); a.StatusCode != 405 || a.Header.Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("PUT %s: %d", path, a.StatusCode)
		}
	}
	if d.calls != 0 {
		t.Errorf("%d calls were made", d.calls)
	}
}

// The page of an invitation shows the code and has no form.
func TestInvitation_ShowsCode(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	a := h.call("GET", "/account/invitation?code=abc-123", "")
	if a.StatusCode != 200 || !strings.Contains(a.body, "<code>abc-123</code>") || strings.Contains(a.body, "<form") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := h.call("POST", "/account/invitation", "{}"); a.StatusCode != 405 || a.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, %q", a.StatusCode, a.Header.Get("Allow"))
	}
}

func TestForm_Post_CallsService(t *testing.T) {
	t.Parallel()
	d := &double{}
	var verified, password string
	d.verify = func(req *authv1.VerifyEmailRequest) error {
		verified = req.GetToken()
		return nil
	}
	d.reset = func(req *authv1.ResetPasswordRequest) error {
		password = req.GetPassword()
		return nil
	}
	h := start(t, d, inMemory)
	resp, body := h.sendForm("/account/verify", "same-origin", url.Values{"code": {"abc"}})
	if resp.StatusCode != 200 || verified != "abc" || !strings.Contains(body, "is confirmed") || strings.Contains(body, "abc") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	resp, body = h.sendForm("/account/reset", "same-origin", url.Values{"code": {"abc"}, "password": {"a b&c ü"}})
	if resp.StatusCode != 200 || password != "a b&c ü" || !strings.Contains(body, "is set") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if log := h.log.String(); strings.Contains(log, "abc") || strings.Contains(log, "a b&c") {
		t.Errorf("the log has the input: %s", log)
	}
}

func TestForm_PostFails_ShowsProblem(t *testing.T) {
	t.Parallel()
	d := &double{}
	invalid := fault.New(faultv1.Reason_REASON_TOKEN_INVALID, "expired")
	d.verify = func(*authv1.VerifyEmailRequest) error { return invalid }
	d.reset = func(req *authv1.ResetPasswordRequest) error {
		if req.GetPassword() == "weak" {
			return fault.Invalid("password", "is too easy to guess")
		}
		return invalid
	}
	d.finishMail = func(string) (*authv1.TokenResponse, error) { return nil, invalid }
	h := start(t, d, inMemory)
	for _, path := range []string{"/account/verify", "/account/reset", "/account/sign-in"} {
		resp, body := h.sendForm(path, "same-origin", url.Values{"code": {"abc"}, "password": {"any"}})
		if resp.StatusCode != fault.SpecOf(faultv1.Reason_REASON_TOKEN_INVALID).HTTPStatus || !strings.Contains(body, "not valid") || strings.Contains(body, "<form") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	resp, body := h.sendForm("/account/reset", "same-origin", url.Values{"code": {"abc"}, "password": {"weak"}})
	if resp.StatusCode != 400 || !strings.Contains(body, "The password is too easy to guess.") || !strings.Contains(body, `value="abc"`) || strings.Contains(body, "weak") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// A form of another site or a large form is refused.
func TestForm_FromAnotherSite_IsRefused(t *testing.T) {
	t.Parallel()
	d := &double{}
	h := start(t, d, inMemory)
	for _, site := range []string{"cross-site", "same-site"} {
		if resp, body := h.sendForm("/account/verify", site, url.Values{"code": {"abc"}}); resp.StatusCode != 403 {
			t.Errorf("%s: %d %s", site, resp.StatusCode, body)
		}
	}
	if resp, _ := h.sendForm("/account/verify", "same-origin", url.Values{"code": {strings.Repeat("a", 9<<10)}}); resp.StatusCode != 413 {
		t.Errorf("a large form: %d", resp.StatusCode)
	}
	if a := h.call("POST", "/account/verify", `{"code": "abc"}`); a.StatusCode != 415 {
		t.Errorf("JSON: %d", a.StatusCode)
	}
	if d.calls != 0 {
		t.Errorf("%d calls were made", d.calls)
	}
}

// A link that signs in stores the session in cookies and redirects the browser.
func TestSignInLink_SetsCookiesAndRedirects(t *testing.T) {
	t.Parallel()
	d := &double{}
	d.finishMail = func(token string) (*authv1.TokenResponse, error) {
		return &authv1.TokenResponse{AccessToken: "an access", RefreshToken: "a-refresh-of-" + token}, nil
	}
	h := start(t, d, inMemory)
	h.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, body := h.sendForm("/account/sign-in", "same-origin", url.Values{"code": {"abc"}})
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/" || strings.Contains(body, "an access") {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	cookies := map[string]*http.Cookie{}
	for _, c := range resp.Cookies() {
		cookies[c.Name] = c
	}
	if c := cookies["gh_refresh"]; c == nil || c.Value != "a-refresh-of-abc" || !c.HttpOnly || c.Path != "/v1/auth" || c.SameSite != http.SameSiteStrictMode {
		t.Errorf("the cookie is %v", c)
	}
	if c := cookies["gh_gen"]; c == nil || c.Value != "1" || c.HttpOnly {
		t.Errorf("the generation is %v", c)
	}
}

// S38: the link of a user with a second factor leads to the page that asks for it.
func TestSignInLink_SecondFactor_RedirectsToChallenge(t *testing.T) {
	t.Parallel()
	d := &double{}
	d.finishMail = func(string) (*authv1.TokenResponse, error) {
		return &authv1.TokenResponse{MfaChallenge: &authv1.MfaChallenge{Id: "a-challenge", Methods: []string{"passkey"}}}, nil
	}
	h := start(t, d, inMemory)
	h.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, _ := h.sendForm("/account/sign-in", "same-origin", url.Values{"code": {"abc"}})
	to, err := resp.Location()
	if err != nil || resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) != 0 || to.Path != "/account/challenge" || to.Query().Get("code") != "a-challenge" {
		t.Errorf("%d %v %v", resp.StatusCode, resp.Cookies(), to)
	}
}
