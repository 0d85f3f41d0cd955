package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/cmd/internal/relying"
)

// app is the site of an OAuth client, with its registration.
type app struct {
	relying.Client
	callback string
}

// app serves the site of a client and registers the client.
func (p *product) app(t *testing.T) app {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<h1>Reader</h1>"))
	}))
	t.Cleanup(site.Close)
	callback := site.URL + "/callback"
	return app{relying.Register(t, p.Installation, p.SignIn(t), map[string]any{"redirectUris": []string{callback}}), callback}
}

// authorizeURL returns the URL of an authorization request, with the host name of passkeys.
func (p *product) authorizeURL(a app, challenge, prompt string) string {
	at := *p.Installation
	at.URL = p.origin
	return relying.AuthorizeURL(&at, a.Client, challenge, "redirect_uri", a.callback, "prompt", prompt)
}

// clientResult waits until the browser returns to the site of the client, exchanges the code and
// returns the sign-in methods of the user.
func (p *product) clientResult(t *testing.T, c *chromium, a app, verifier string) []string {
	t.Helper()
	c.waitFor(fmt.Sprintf("location.href.startsWith(%q)", a.callback+"?"))
	var answer struct{ Code, Error, Iss string }
	c.eval(`Object.fromEntries(new URLSearchParams(location.search))`, &answer)
	if answer.Code == "" || answer.Iss != p.origin {
		t.Fatalf("the client received %+v", answer)
	}
	var got struct {
		AccessToken string `json:"access_token"`
	}
	p.exchange(t, a, answer.Code, verifier, &got)
	return tokens{AccessToken: got.AccessToken}.methods(t)
}

// exchange exchanges a code for tokens.
func (p *product) exchange(t *testing.T, a app, code, verifier string, into any) {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {a.callback}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/oauth2/token", strings.NewReader(form.Encode()))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(a.ID, a.Secret)
	resp, err := inprocess.Client().Do(req)
	must(t, err)
	defer resp.Body.Close()
	must(t, json.NewDecoder(resp.Body).Decode(into))
}

// submit fills in the form of a page and clicks a button.
func (c *chromium) submit(button string, fields map[string]string) {
	c.t.Helper()
	for name, value := range fields {
		c.eval(fmt.Sprintf("document.querySelector('[name=%s]').value = %q", name, value), nil)
	}
	c.eval(fmt.Sprintf("document.querySelector(%q).click()", button), nil)
}

// S34, S38: in a real browser a user signs in for a client by a password, by a password and a TOTP
// code, and by a passkey. A second factor is never skipped. A grant that exists is not asked for
// again.
func TestS38ChromiumSignsInForAClientWithEveryFactor(t *testing.T) {
	t.Parallel()
	p, c := start(t), openChromium(t)
	a, ada := p.app(t), p.SignUp(t, "ada@example.com")
	verifier, challenge := relying.PKCE()
	c.visit(p.authorizeURL(a, challenge, ""))
	signIn := map[string]string{"email": ada.Email, "password": "not her password"}
	c.submit("form button[type=submit]", signIn)
	c.waitFor(`document.querySelector("#problem")`)
	c.submit("form button[type=submit]", map[string]string{"password": ada.Password})
	c.waitFor(`document.querySelector("[value=allow]")`)
	c.submit("[value=allow]", nil)
	if got := p.clientResult(t, c, a, verifier); !slices.Equal(got, []string{"pwd"}) {
		t.Errorf("signed in by %v", got)
	}

	var created struct{ Secret string }
	p.post(t, ada, "/v1/me/mfa/totp", map[string]any{}, &created)
	now := time.Now()
	p.post(t, ada, "/v1/me/mfa/totp:confirm", map[string]any{"code": oathtool(t, created.Secret, now.Add(-20*time.Second))}, &struct{}{})
	verifier, challenge = relying.PKCE()
	c.visit(p.authorizeURL(a, challenge, "login"))
	c.submit("form button[type=submit]", map[string]string{"email": ada.Email, "password": ada.Password})
	c.waitFor(`document.querySelector("[name=code]")`)
	c.submit("form button[type=submit]", map[string]string{"code": "000000"})
	c.waitFor(`document.querySelector("#problem")`)
	c.submit("form button[type=submit]", map[string]string{"code": oathtool(t, created.Secret, now.Add(30*time.Second))})
	if got := p.clientResult(t, c, a, verifier); !slices.Equal(got, []string{"pwd", "otp", "mfa"}) {
		t.Errorf("signed in by %v", got)
	}

	bea := p.SignUp(t, "bea@example.com")
	c.visit(p.origin + "/version")
	c.authenticator(true)
	p.register(t, c, bea)
	for name, shown := range map[string]map[string]string{"a passkey alone": nil, "a password and a passkey": {"email": bea.Email, "password": bea.Password}} {
		verifier, challenge = relying.PKCE()
		c.visit(p.authorizeURL(a, challenge, "login consent"))
		if shown != nil {
			c.submit("form button[type=submit]", shown)
			c.waitFor(`document.querySelector("[name=challenge]")`)
		}
		c.waitFor(`!document.querySelector("#passkey").hidden`)
		c.submit("#passkey", nil)
		c.waitFor(`document.querySelector("[value=allow]")`)
		c.submit("[value=allow]", nil)
		if got := p.clientResult(t, c, a, verifier); !slices.Contains(got, "hwk") && !slices.Contains(got, "swk") {
			t.Errorf("%s: signed in by %v", name, got)
		}
	}
}

// A page of Gatehouse can use its session at the OAuth provider. A page of another site cannot.
func TestOAuthLogin_PageOfGatehouse_SharesItsSession(t *testing.T) {
	t.Parallel()
	p, c := start(t), openChromium(t)
	a, ada := p.app(t), p.SignUp(t, "ada@example.com")
	keep := fmt.Sprintf(`fetch(%q, {method: "POST", credentials: "include", headers: {Authorization: "Bearer %s"}}).then(r => r.status)`,
		p.origin+"/oauth2/login", ada.AccessToken)
	c.visit(a.callback)
	if problem := c.tryEval(keep, nil); problem == "" {
		t.Error("a page of another site used a session at the provider")
	}
	c.visit(p.origin + "/docs/errors")
	var status int
	c.eval(keep, &status)
	if status != http.StatusNoContent {
		t.Fatalf("%d", status)
	}
	_, challenge := relying.PKCE()
	c.visit(p.authorizeURL(a, challenge, ""))
	c.waitFor(`document.querySelector("[value=deny]")`)
	c.submit("[value=deny]", nil)
	c.waitFor(fmt.Sprintf("location.href.startsWith(%q) && location.search.includes('access_denied')", a.callback+"?"))
	resp := p.Request(t, inprocess.Session{}, http.MethodPost, "/oauth2/login", nil)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %d", resp.StatusCode)
	}
}
