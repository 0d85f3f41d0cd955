package browser_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/sources"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/freeport"
)

const (
	providers = "../../tools/provider"
	client    = "gatehouse-test"
)

// startFederated serves the product with a real OpenID provider. The provider has an IP address
// instead of a host name, so it is another site for the browser.
func startFederated(t *testing.T) *product {
	t.Helper()
	if _, err := os.Stat(filepath.Join(providers, "node_modules", ".package-lock.json")); err != nil {
		t.Fatalf("the npm packages of %s are not installed: run make setup-tests (%v)", providers, err)
	}
	address, err := freeport.Address(t.Context())
	must(t, err)
	issuer := "http://" + address
	return startWith(t, func(origin string) map[string]string {
		serveProvider(t, issuer, origin+"/v1/auth/providers/acme/callback")
		return map[string]string{"GATEHOUSE_OIDC_PROVIDERS": fmt.Sprintf(
			`[{"id": "acme", "displayName": "Acme", "issuer": %q, "clientId": %q, "clientSecret": "a secret of the test's: 100%%"}]`, issuer, client)}
	})
}

// serveProvider runs the OpenID provider until the test ends.
func serveProvider(t *testing.T, issuer, redirectURI string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "node", "serve.mjs", issuer, client, "a secret of the test's: 100%", redirectURI)
	var said bytes.Buffer
	cmd.Dir, cmd.Stderr = providers, &said
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the provider: %v\n%s", err, said.String())
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "listening" {
			return
		}
	}
	t.Fatal("the provider does not listen")
}

// agree signs a user in at the provider and gives consent.
func (c *chromium) agree(name string) {
	c.t.Helper()
	c.waitFor(`document.querySelector("input[name=login]")`)
	c.eval(fmt.Sprintf(`(document.querySelector("input[name=login]").value = %q,
		document.querySelector("input[name=password]").value = "any", document.querySelector("form").submit())`, name), nil)
	c.confirm()
}

// confirm gives consent as a user who is signed in at the provider.
func (c *chromium) confirm() {
	c.t.Helper()
	c.waitFor(`document.querySelector("input[name=prompt][value=consent]")`)
	c.eval(`document.querySelector("form").submit()`, nil)
}

// waitForPath waits until the browser shows a path of the product.
func (p *product) waitForPath(c *chromium, path string) {
	c.t.Helper()
	c.waitFor(fmt.Sprintf("location.origin === %q && location.pathname === %q", p.origin, path))
}

// session refreshes the session of a page by its cookies, and returns the tokens and the email
// address of the user.
func (p *product) session(t *testing.T, c *chromium) (tokens, string) {
	t.Helper()
	var out tokens
	c.eval(`fetch("/v1/auth/refresh", {method: "POST", headers: {"Content-Type": "application/json", "X-Gatehouse-CSRF": "1"},
		body: JSON.stringify({session: "COOKIE"})}).then(r => r.json())`, &out)
	var me struct{ Email string }
	p.Get(t, inprocess.Session{AccessToken: out.AccessToken}, "/v1/me", &me)
	return out, me.Email
}

func TestS38ChromiumSignsInByAProviderAndAPasskey(t *testing.T) {
	t.Parallel()
	sources.Depend()
	p, c := startFederated(t), openChromium(t)
	start := p.origin + "/v1/auth/providers/acme/start?returnTo=/docs/errors"
	c.visit(start)
	c.agree("ada")
	p.waitForPath(c, "/docs/errors")
	in, email := p.session(t, c)
	if email != "ada@example.com" || !slices.Equal(in.methods(t), []string{"fed"}) {
		t.Errorf("signed in as %s by %v", email, in.methods(t))
	}
	var readable string
	c.eval("document.cookie", &readable)
	if !strings.Contains(readable, "gh_gen=") || strings.Contains(readable, "gh_refresh") || strings.Contains(readable, "gh_attempt") {
		t.Errorf("a script reads %s", readable)
	}

	// After a passkey is registered, the identity provider alone is not sufficient.
	c.authenticator(true)
	p.register(t, c, inprocess.Session{AccessToken: in.AccessToken})
	c.visit(start)
	c.waitFor(`location.pathname === "/account/challenge" && !document.getElementById("passkey").hidden`)
	c.eval(`document.getElementById("passkey").click()`, nil)
	p.waitForPath(c, "/docs/errors")
	again, email := p.session(t, c)
	if email != "ada@example.com" || !slices.Contains(again.methods(t), "fed") || !slices.Contains(again.methods(t), "hwk") {
		t.Errorf("signed in as %s by %v", email, again.methods(t))
	}
}

// A recovery code is sent by the form of the page, which needs no script. It works once.
func TestS39ChromiumUsesARecoveryCodeOnce(t *testing.T) {
	t.Parallel()
	p, c := startFederated(t), openChromium(t)
	start := p.origin + "/v1/auth/providers/acme/start?returnTo=/docs/errors"
	c.visit(start)
	c.agree("ada")
	p.waitForPath(c, "/docs/errors")
	in, _ := p.session(t, c)
	c.authenticator(true)
	codes := p.register(t, c, inprocess.Session{AccessToken: in.AccessToken})
	enter := fmt.Sprintf(`(document.getElementById("factor").value = %q, document.querySelector("main form").submit())`, codes[0])
	c.visit(start)
	c.waitFor(`location.pathname === "/account/challenge"`)
	c.eval(enter, nil)
	p.waitForPath(c, "/docs/errors")
	c.visit(start)
	c.waitFor(`location.pathname === "/account/challenge"`)
	c.eval(enter, nil)
	c.waitFor(`document.getElementById("problem")`)
}

// Some identity providers, such as Apple, return the user with a form of their own page. That
// request has no cookie of this site.
func TestProviderSignIn_FormPost_SignsIn(t *testing.T) {
	t.Parallel()
	p, c := startFederated(t), openChromium(t)
	c.visit(p.origin + "/")
	var begun struct{ AuthorizationURL, Secret string }
	c.eval(`fetch("/v1/auth/providers/acme:begin", {method: "POST", headers: {"Content-Type": "application/json"},
		body: JSON.stringify({session: "COOKIE", returnTo: "/docs"})}).then(r => r.json())`, &begun)
	if begun.Secret != "" || begun.AuthorizationURL == "" {
		t.Fatalf("begun with %+v", begun)
	}
	c.visit(begun.AuthorizationURL + "&response_mode=form_post")
	c.agree("ada")
	p.waitForPath(c, "/docs")
	if _, email := p.session(t, c); email != "ada@example.com" {
		t.Errorf("signed in as %s", email)
	}
}

// Login CSRF: a browser that opens the callback URL of another browser is not signed in.
func TestProviderSignIn_CallbackOfAnotherBrowser_IsRefused(t *testing.T) {
	t.Parallel()
	p, theirs, mine := startFederated(t), openChromium(t), openChromium(t)
	var begun struct{ AuthorizationURL, State string }
	theirs.visit(p.origin + "/")
	theirs.eval(`fetch("/v1/auth/providers/acme:begin", {method: "POST", headers: {"Content-Type": "application/json"}, body: "{}"}).then(r => r.json())`, &begun)
	// This browser has no cookie of the attempt, so the code is not used there and stays valid.
	theirs.visit(begun.AuthorizationURL)
	theirs.agree("eve")
	theirs.waitFor(`location.pathname.endsWith("/callback")`)
	var callback string
	theirs.eval("location.href", &callback)
	if !strings.Contains(callback, "code=") || !strings.Contains(callback, "iss=") {
		t.Fatalf("the callback URL is %s", callback)
	}
	mine.visit(p.origin + "/v1/auth/providers/acme/start")
	mine.waitFor(`document.querySelector("input[name=login]")`)
	mine.visit(callback)
	mine.waitFor(`document.querySelector("h1")?.innerText === "You are not signed in"`)
	mine.visit(p.origin + "/")
	var status int
	mine.eval(`fetch("/v1/auth/refresh", {method: "POST", headers: {"Content-Type": "application/json", "X-Gatehouse-CSRF": "1"},
		body: JSON.stringify({session: "COOKIE"})}).then(r => r.status)`, &status)
	if status != http.StatusUnauthorized {
		t.Errorf("refreshed: %d", status)
	}
}

func TestS18ChromiumLinksAnIdentityProviderToAnAccount(t *testing.T) {
	t.Parallel()
	p, c := startFederated(t), openChromium(t)
	ada := p.SignUp(t, "ada@example.org")
	c.visit(p.origin + "/")
	var begun struct{ AuthorizationURL string }
	c.eval(fmt.Sprintf(`fetch("/v1/me/identities/acme:begin", {method: "POST", headers: {"Content-Type": "application/json", "Authorization": "Bearer %s"},
		body: JSON.stringify({session: "COOKIE", returnTo: "/docs"})}).then(r => r.json())`, ada.AccessToken), &begun)
	c.visit(begun.AuthorizationURL)
	c.agree("unverified")
	p.waitForPath(c, "/docs")
	var listed struct {
		Identities []struct{ Provider, Email string }
	}
	p.Get(t, ada, "/v1/me/identities", &listed)
	if len(listed.Identities) != 1 || listed.Identities[0].Provider != "acme" || listed.Identities[0].Email != "unverified@example.com" {
		t.Errorf("linked %+v", listed)
	}
	c.visit(p.origin + "/v1/auth/providers/acme/start?returnTo=/docs/errors")
	p.waitForPath(c, "/docs/errors")
	if _, email := p.session(t, c); email != "ada@example.org" {
		t.Errorf("signed in as %s", email)
	}
}
