package surface_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// page is a web page of one origin in a browser, with its cookies.
type page struct {
	t      *testing.T
	i      *inprocess.Installation
	client *http.Client
	origin string
	header map[string]string
}

// openPage returns a page of an origin, with an empty cookie jar.
func openPage(t *testing.T, i *inprocess.Installation, origin string) *page {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &page{t: t, i: i, client: &http.Client{Jar: jar, Transport: inprocess.Patient(nil)}, origin: origin, header: map[string]string{"X-Gatehouse-CSRF": "1"}}
}

type tokens struct {
	AccessToken, RefreshToken, Reason string
	status                            int
	cookies                           []*http.Cookie
}

func (p *page) post(path string, body map[string]any) tokens {
	p.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.i.URL+path, bytes.NewReader(raw))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if p.origin != "" {
		req.Header.Set("Origin", p.origin)
	}
	for name, value := range p.header {
		req.Header.Set(name, value)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err = io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	out := tokens{status: resp.StatusCode, cookies: resp.Cookies()}
	if err := json.Unmarshal(raw, &out); err != nil {
		p.t.Fatalf("%s: %v in %s", path, err, raw)
	}
	return out
}

// generation returns the generation of the session, from its cookie.
func (p *page) generation() string {
	own, err := url.Parse(p.i.URL)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, c := range p.client.Jar.Cookies(own) {
		if c.Name == "gh_refresh" {
			p.t.Error("the refresh token is sent to every path")
		}
		if c.Name == "gh_gen" {
			return c.Value
		}
	}
	return ""
}

var (
	cookieSession = map[string]any{"session": "COOKIE"}
	cookieSignIn  = map[string]any{"session": "COOKIE", "email": inprocess.AdminEmail, "password": inprocess.AdminPassword}
)

// A page in a browser signs in, refreshes and signs out, and never receives a refresh token.
func TestBrowserSession_Cookie_IsKeptFromThePage(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	p := openPage(t, i, i.URL)
	in := p.post("/v1/auth/sign-in", cookieSignIn)
	if in.status != http.StatusOK || in.AccessToken == "" || in.RefreshToken != "" {
		t.Fatalf("signed in with %+v", in)
	}
	attributes := map[string]string{}
	for _, c := range in.cookies {
		attributes[c.Name] = c.Raw
	}
	if a := attributes["gh_refresh"]; !strings.Contains(a, "HttpOnly") || !strings.Contains(a, "SameSite=Strict") || !strings.Contains(a, "Path=/v1/auth") {
		t.Errorf("the cookie is %s", a)
	}
	if a := attributes["gh_gen"]; strings.Contains(a, "HttpOnly") || !strings.Contains(a, "SameSite=Strict") || !strings.Contains(a, "Path=/;") {
		t.Errorf("the generation is %s", a)
	}
	if got := p.generation(); got != "1" {
		t.Errorf("generation %s", got)
	}
	for n, want := range []string{"2", "3"} {
		again := p.post("/v1/auth/refresh", cookieSession)
		if again.status != http.StatusOK || again.AccessToken == "" || again.RefreshToken != "" || p.generation() != want {
			t.Fatalf("refresh %d: %+v, generation %s", n, again, p.generation())
		}
	}
	out := p.post("/v1/auth/sign-out", cookieSession)
	if out.status != http.StatusOK || p.generation() != "" {
		t.Errorf("signed out with %+v, generation %s", out, p.generation())
	}
	if after := p.post("/v1/auth/refresh", cookieSession); after.status != http.StatusUnauthorized {
		t.Errorf("after signing out: %+v", after)
	}
}

// A request with the cookie is refused when it is from a foreign page, lacks the CSRF header or
// has an unknown origin. The session stays valid.
func TestBrowserSession_ForeignPage_CannotUseTheCookie(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, map[string]string{"GATEHOUSE_CORS_ORIGINS": "https://app.example.com"})
	p := openPage(t, i, i.URL)
	if in := p.post("/v1/auth/sign-in", cookieSignIn); in.status != http.StatusOK {
		t.Fatalf("%+v", in)
	}
	for name, tc := range map[string]struct {
		origin string
		header map[string]string
	}{
		"a foreign page":      {"https://evil.example.com", map[string]string{"X-Gatehouse-CSRF": "1"}},
		"a look-alike":        {"https://app.example.com.evil.com", map[string]string{"X-Gatehouse-CSRF": "1"}},
		"a sandboxed page":    {"null", map[string]string{"X-Gatehouse-CSRF": "1"}},
		"without the header":  {i.URL, nil},
		"without any origin":  {"", map[string]string{"X-Gatehouse-CSRF": "1"}},
		"with another header": {i.URL, map[string]string{"X-Gatehouse-CSRF": "0"}},
	} {
		p.origin, p.header = tc.origin, tc.header
		for _, path := range []string{"/v1/auth/refresh", "/v1/auth/sign-out"} {
			if got := p.post(path, cookieSession); got.status != http.StatusForbidden || len(got.cookies) > 0 {
				t.Errorf("%s %s: %+v", path, name, got)
			}
		}
	}
	p.origin, p.header = "https://evil.example.com", nil
	if got := p.post("/v1/auth/sign-in", cookieSignIn); got.status != http.StatusForbidden || len(got.cookies) > 0 {
		t.Errorf("a foreign page signs in: %+v", got)
	}
	p.origin, p.header = "https://app.example.com", map[string]string{"X-Gatehouse-CSRF": "1"}
	if got := p.post("/v1/auth/refresh", cookieSession); got.status != http.StatusOK {
		t.Errorf("the listed origin: %+v", got)
	}
}

// A neighboring host can set a cookie for the whole domain. A page with such a cookie is refused,
// and does not continue in the session of somebody else.
func TestBrowserSession_CookieOfNeighboringHost_IsRefused(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	mine, theirs := openPage(t, i, i.URL), openPage(t, i, i.URL)
	mine.post("/v1/auth/sign-in", cookieSignIn)
	planted := theirs.post("/v1/auth/sign-in", map[string]any{"email": inprocess.AdminEmail, "password": inprocess.AdminPassword}).RefreshToken
	below, err := url.Parse(i.URL + "/v1/auth/refresh")
	if err != nil {
		t.Fatal(err)
	}
	// Browsers, and this jar, send the cookie with the longer path first.
	mine.client.Jar.SetCookies(below, []*http.Cookie{{Name: "gh_refresh", Value: planted, Path: below.Path}})
	if got := mine.post("/v1/auth/refresh", cookieSession); got.status != http.StatusUnauthorized || got.Reason != "REFRESH_TOKEN_INVALID" {
		t.Errorf("the page continues with the planted cookie: %+v", got)
	}
	theirs.header = nil
	if got := theirs.post("/v1/auth/refresh", map[string]any{"refreshToken": planted}); got.status != http.StatusOK {
		t.Errorf("the planted token was used: %+v", got)
	}
}

// A client that requests no cookie receives none, and the cookie is no bearer token.
func TestBrowserSession_Cookie_OnlyRefreshes(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	p := openPage(t, i, i.URL)
	in := p.post("/v1/auth/sign-in", map[string]any{"email": inprocess.AdminEmail, "password": inprocess.AdminPassword})
	if in.status != http.StatusOK || in.RefreshToken == "" || len(in.cookies) > 0 {
		t.Errorf("%+v", in)
	}
	p.post("/v1/auth/sign-in", cookieSignIn)
	for _, path := range []string{"/v1/assistants", "/v1/auth/switch-organization"} {
		if got := p.post(path, map[string]any{"displayName": "x"}); got.status != http.StatusUnauthorized && got.status != http.StatusBadRequest {
			t.Errorf("%s with the cookie alone: %+v", path, got)
		}
	}
	if got := p.post("/v1/auth/sign-in", map[string]any{"session": "JAR", "email": "a@example.com", "password": "x"}); got.status != http.StatusBadRequest {
		t.Errorf("an unknown session: %+v", got)
	}
}
