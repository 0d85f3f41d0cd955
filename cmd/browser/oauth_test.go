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

// app is a client's site, another one than ours, with its registration.
type app struct {
	relying.Client
	callback string
}

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

// authorizeURL asks for a user, at the name that passkeys are bound to.
func (p *product) authorizeURL(a app, challenge, prompt string) string {
	at := *p.Installation
	at.URL = p.origin
	return relying.AuthorizeURL(&at, a.Client, challenge, "redirect_uri", a.callback, "prompt", prompt)
}

// clientResult waits until the browser is back at the client's site, and returns how its
// user signed in.
func (p *product) clientResult(t *testing.T, c *chromium, a app, verifier string) []string {
	t.Helper()
	c.waitFor(fmt.Sprintf("location.href.startsWith(%q)", a.callback+"?"))
	var answer struct{ Code, Error, Iss string }
	c.eval(`Object.fromEntries(new URLSearchParams(location.search))`, &answer)
	if answer.Code == "" || answer.Iss != p.origin {
		t.Fatalf("the client is answered %+v", answer)
	}
	var got struct {
		AccessToken string `json:"access_token"`
	}
	p.exchange(t, a, answer.Code, verifier, &got)
	return tokens{AccessToken: got.AccessToken}.methods(t)
}

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

// submit fills the fields of a page's form in and presses a button, as a user does.
func (c *chromium) submit(button string, fields map[string]string) {
	c.t.Helper()
	for name, value := range fields {
		c.eval(fmt.Sprintf("document.querySelector('[name=%s]').value = %q", name, value), nil)
	}
	c.eval(fmt.Sprintf("document.querySelector(%q).click()", button), nil)
}

// S34, S38: in a real browser a client gets its user by the pages alone: by password and
// consent, then with the code that an authenticator shows, and by a passkey alone. What
// was allowed once is not asked again.
func TestS38ChromiumLetsAClientActAndNeverSkipsAFactor(t *testing.T) {
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

// A page of ours makes its session the provider's, and nobody else's page does.
func TestASessionOfAPageIsTheProvidersToo(t *testing.T) {
	t.Parallel()
	p, c := start(t), openChromium(t)
	a, ada := p.app(t), p.SignUp(t, "ada@example.com")
	keep := fmt.Sprintf(`fetch(%q, {method: "POST", credentials: "include", headers: {Authorization: "Bearer %s"}}).then(r => r.status)`,
		p.origin+"/oauth2/login", ada.AccessToken)
	c.visit(a.callback)
	if problem := c.tryEval(keep, nil); problem == "" {
		t.Error("another site's page made a session the provider's")
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
