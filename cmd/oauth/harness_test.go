// Package oauth tests the OAuth provider by its endpoints and pages, as clients and browsers use
// it. Some clients are libraries of other projects.
package oauth_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/cmd/internal/relying"
)

type client = relying.Client

// product is the whole product, with the session of an administrator who registers clients.
type product struct {
	*inprocess.Installation
	admin inprocess.Session
}

func start(t *testing.T) *product {
	t.Helper()
	i := inprocess.Start(t, nil)
	return &product{Installation: i, admin: i.SignIn(t)}
}

func (p *product) register(t *testing.T, fields map[string]any) client {
	t.Helper()
	return relying.Register(t, p.Installation, p.admin, fields)
}

func (p *product) browser(t *testing.T) *relying.Browser {
	t.Helper()
	return relying.NewBrowser(t, p.Installation)
}

func (p *product) authorizeURL(c client, challenge string, pairs ...string) string {
	return relying.AuthorizeURL(p.Installation, c, challenge, pairs...)
}

// code signs a user in, allows a client and returns the authorization code with its verifier.
func (p *product) code(t *testing.T, c client, s inprocess.Session, pairs ...string) (code, verifier string) {
	t.Helper()
	b := p.browser(t)
	verifier, challenge := relying.PKCE()
	shown := b.SignIn(t, b.Get(t, p.authorizeURL(c, challenge, pairs...)), s)
	var to *url.URL
	if shown.Location != "" { // allowed before
		to = relying.Sent(t, shown)
	} else {
		to = b.Agree(t, shown)
	}
	if to.Query().Get("code") == "" {
		t.Fatalf("no code: %s", to)
	}
	return to.Query().Get("code"), verifier
}

// tokens is a response of the token endpoint.
type tokens struct {
	Status           int
	AccessToken      string `json:"access_token"`
	TokenType        string `json:"token_type"`
	ExpiresIn        int    `json:"expires_in"`
	RefreshToken     string `json:"refresh_token"`
	IDToken          string `json:"id_token"`
	Scope            string
	Error            string
	ErrorDescription string `json:"error_description"`
}

// call sends a form to an endpoint for clients.
func (p *product) call(t *testing.T, c client, path string, into any, pairs ...string) (status int, header http.Header) {
	t.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	if c.Secret == "" && c.ID != "" {
		values.Set("client_id", c.ID)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+path, strings.NewReader(values.Encode()))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.Secret != "" {
		req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret))
	}
	resp, err := inprocess.Client().Do(req)
	must(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatalf("%s: %v in %s", path, err, raw)
		}
	}
	return resp.StatusCode, resp.Header
}

func (p *product) token(t *testing.T, c client, pairs ...string) tokens {
	t.Helper()
	var out tokens
	out.Status, _ = p.call(t, c, "/oauth2/token", &out, pairs...)
	return out
}

func (p *product) exchange(t *testing.T, c client, code, verifier string) tokens {
	t.Helper()
	return p.token(t, c, "grant_type", "authorization_code", "code", code, "redirect_uri", relying.RedirectURI, "code_verifier", verifier)
}

func (p *product) refresh(t *testing.T, c client, token string) tokens {
	t.Helper()
	return p.token(t, c, "grant_type", "refresh_token", "refresh_token", token)
}

// active reports whether a token is valid, by introspection.
func (p *product) active(t *testing.T, c client, token string) bool {
	t.Helper()
	var result struct{ Active bool }
	if status, _ := p.call(t, c, "/oauth2/introspect", &result, "token", token); status != http.StatusOK {
		t.Fatalf("introspection: %d", status)
	}
	return result.Active
}

// status returns the status of a GET request with a token.
func (p *product) status(t *testing.T, token, path string) int {
	t.Helper()
	resp := p.Request(t, inprocess.Session{AccessToken: token}, http.MethodGet, path, nil)
	must(t, resp.Body.Close())
	return resp.StatusCode
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker, deadline := time.NewTicker(50*time.Millisecond), time.After(20*time.Second)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}
