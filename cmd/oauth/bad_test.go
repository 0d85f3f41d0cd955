package oauth_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/relying"
)

// S58, S63: invalid input to the OAuth provider never causes a server error. A redirect leads only
// to the client or to a page of Gatehouse.
func TestS63InvalidInputIsRefused(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.register(t, nil)
	_, challenge := relying.PKCE()
	valid := strings.SplitN(p.authorizeURL(c, challenge), "?", 2)[1]
	fields := map[string][]string{
		"/oauth2/authorize": {
			"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge",
			"code_challenge_method", "prompt", "max_age", "request", "request_uri",
		},
		"/oauth2/token": {
			"client_id", "client_secret", "grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope",
		},
		"/oauth2/introspect":               {"client_id", "client_secret", "token"},
		"/oauth2/revoke":                   {"client_id", "client_secret", "token"},
		"/oauth2/sign-in":                  {"request", "email", "password"},
		"/oauth2/second-factor":            {"request", "challenge", "code", "method"},
		"/oauth2/consent":                  {"ticket", "decision"},
		"/oauth2/end-session":              {"id_token_hint", "client_id", "post_logout_redirect_uri", "state", "confirm"},
		"/account/challenge":               {"code", "factor", "returnTo", "methods"},
		"/account/verify":                  {"code"},
		"/account/reset":                   {"code", "password"},
		"/v1/auth/providers/acme/start":    {"returnTo"},
		"/v1/auth/providers/acme/callback": {"state", "code", "iss", "error"},
	}
	begin := func(path string) url.Values {
		values, err := url.ParseQuery(valid)
		must(t, err)
		switch path {
		case "/oauth2/authorize":
		case "/oauth2/token", "/oauth2/introspect", "/oauth2/revoke":
			values = url.Values{"client_id": {c.ID}, "client_secret": {c.Secret}, "grant_type": {"refresh_token"}, "token": {"x"}, "refresh_token": {"x"}}
		default:
			values = url.Values{"request": {valid}, "email": {"a@example.com"}, "password": {"x"}, "code": {"x"}, "challenge": {"x"}, "factor": {"x"}}
		}
		return values
	}
	for path, names := range fields {
		for _, name := range names {
			for kind, value := range map[string]string{
				"NUL": "a\x00b", "no UTF-8": "a\xffb", "long": strings.Repeat("a", 3000), "too long": strings.Repeat("a", 20_000),
				"lines": "a\r\nLocation: https://evil.example/", "script": `"><script>alert(1)</script>`, "surrogate": "\xed\xa0\x80",
			} {
				values := begin(path)
				values.Set(name, value)
				for _, get := range []bool{true, false} {
					status, body, location := p.send(t, path, values, get)
					if status >= http.StatusInternalServerError || strings.Contains(body, "<script>alert") {
						t.Errorf("%s, %s of %s: %d %.300s", path, name, kind, status, body)
					}
					expected := strings.HasPrefix(location, relying.RedirectURI+"?") || strings.HasPrefix(location, path+"?")
					if location != "" && !expected {
						t.Errorf("%s, %s of %s: sent to %s", path, name, kind, location)
					}
				}
			}
		}
	}
}

// S58: a malformed credential is refused and never causes a server error.
func TestS58MalformedCredentialsAreRefused(t *testing.T) {
	t.Parallel()
	p := start(t)
	for path, want := range map[string]int{
		"/oauth2/userinfo": http.StatusUnauthorized, "/oauth2/login": http.StatusUnauthorized, "/v1/me": http.StatusUnauthorized,
		"/oauth2/token": http.StatusUnauthorized, "/oauth2/introspect": http.StatusUnauthorized,
	} {
		for _, credential := range []string{
			"Bearer a\xffb", "Bearer \xc3\xa9", "Bearer \tb", "Basic " + base64.StdEncoding.EncodeToString([]byte("%ff:%ff")),
			"Basic " + base64.StdEncoding.EncodeToString([]byte("a\x00:b")), "Basic !", "Bearer", "",
		} {
			method := http.MethodPost
			if path == "/v1/me" {
				method = http.MethodGet
			}
			req, err := http.NewRequestWithContext(t.Context(), method, p.URL+path, strings.NewReader("grant_type=refresh_token"))
			must(t, err)
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Authorization", credential)
			resp, err := http.DefaultTransport.RoundTrip(req)
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != want && resp.StatusCode != http.StatusBadRequest {
				t.Errorf("%s with %q: %d", path, credential, resp.StatusCode)
			}
		}
	}
}

// send sends values to a path, in the query or as a form. It does not follow redirects.
func (p *product) send(t *testing.T, path string, values url.Values, get bool) (status int, body, location string) {
	t.Helper()
	method, target, content := http.MethodPost, p.URL+path, values.Encode()
	if get {
		method, target, content = http.MethodGet, target+"?"+content, ""
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(content))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultTransport.RoundTrip(req)
	must(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(raw), resp.Header.Get("Location")
}
