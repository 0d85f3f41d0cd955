package oauth_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/cmd/internal/relying"
)

// change changes a client, and returns the status.
func (p *product) change(t *testing.T, s inprocess.Session, c client, fields map[string]any) int {
	t.Helper()
	resp := p.Request(t, s, http.MethodPatch, "/v1/oauth-clients/"+c.ID, fields)
	must(t, resp.Body.Close())
	return resp.StatusCode
}

// S21: a code is worth nothing once its user has taken the consent back, and one of a
// client that has become its organization's own is worth nothing to others.
func TestS21ACodeEndsWithWhatItStandsOn(t *testing.T) {
	t.Parallel()
	p := start(t)
	ada := p.SignUp(t, "ada@example.com")
	for name, end := range map[string]func(c client){
		"the consent is taken back": func(client) {
			var list struct {
				Grants []struct{ ID, ClientID string }
			}
			p.Get(t, ada, "/v1/me/grants", &list)
			for _, g := range list.Grants {
				resp := p.Request(t, ada, http.MethodDelete, "/v1/me/grants/"+g.ID, nil)
				must(t, resp.Body.Close())
			}
		},
		"for members only": func(c client) {
			if status := p.change(t, p.admin, c, map[string]any{"membersOnly": true}); status != http.StatusOK {
				t.Fatalf("changed: %d", status)
			}
		},
		"the scopes are lost": func(c client) {
			if status := p.change(t, p.admin, c, map[string]any{"scopes": []string{"profile"}}); status != http.StatusOK {
				t.Fatalf("changed: %d", status)
			}
		},
	} {
		c := p.register(t, nil)
		code, verifier := p.code(t, c, ada)
		end(c)
		if got := p.exchange(t, c, code, verifier); got.Error != "invalid_grant" || got.AccessToken != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// S22: what a client is no longer registered for ends in the tokens that it has.
func TestS22TokensEndWithTheRegistrationTheyWereGivenFor(t *testing.T) {
	t.Parallel()
	p := start(t)
	ada := p.SignUp(t, "ada@example.com")
	for name, fields := range map[string]map[string]any{
		"a scope less":      {"scopes": []string{"openid", "email", "chat.read"}},
		"a grant type less": {"grantTypes": []string{"authorization_code", "refresh_token"}},
		"for members only":  {"membersOnly": true},
	} {
		c := p.register(t, map[string]any{
			"scopes":     []string{"openid", "email", "chat.read", "chat.write"},
			"grantTypes": []string{"authorization_code", "refresh_token", "client_credentials"},
		})
		code, verifier := p.code(t, c, ada)
		delegated, own := p.exchange(t, c, code, verifier), p.token(t, c, "grant_type", "client_credentials")
		if status := p.change(t, p.admin, c, map[string]any{"displayName": "Another name"}); status != http.StatusOK {
			t.Fatalf("renamed: %d", status)
		}
		if !p.active(t, c, delegated.AccessToken) || !p.active(t, c, own.AccessToken) {
			t.Errorf("%s: another name ended the tokens", name)
		}
		if status := p.change(t, p.admin, c, fields); status != http.StatusOK {
			t.Fatalf("%s: %d", name, status)
		}
		if p.active(t, c, delegated.AccessToken) || p.active(t, c, own.AccessToken) {
			t.Errorf("%s: the tokens are active", name)
		}
	}
}

// S34: what the user agreed to is what the client is when the code is made: not a
// redirect URI, scope or organization that it has lost while the user thought.
func TestS34AConsentIsToWhatTheClientIsNow(t *testing.T) {
	t.Parallel()
	p := start(t)
	ada := p.SignUp(t, "ada@example.com")
	_, challenge := relying.PKCE()
	for name, fields := range map[string]map[string]any{
		"redirect URI": {"redirectUris": []string{"https://app.example/other"}},
		"scopes":       {"scopes": []string{"openid"}},
		"members only": {"membersOnly": true},
	} {
		c, b := p.register(t, nil), p.browser(t)
		asked := b.SignIn(t, b.Get(t, p.authorizeURL(c, challenge)), ada)
		if status := p.change(t, p.admin, c, fields); status != http.StatusOK {
			t.Fatalf("%s: %d", name, status)
		}
		allow := asked.Form()
		allow.Set("decision", "allow")
		if got := b.Post(t, "/oauth2/consent", allow); got.Status != http.StatusBadRequest || got.Location != "" {
			t.Errorf("%s: %d to %q", name, got.Status, got.Location)
		}
	}
}

// S45: a client is no way up: whoever changes one, or has a new secret of it, holds
// what it may do.
func TestS45ClientsAreNoWayUp(t *testing.T) {
	t.Parallel()
	p := start(t)
	role := p.Create(t, p.admin, "/v1/organizations/"+p.admin.OrganizationID+"/roles", map[string]any{
		"displayName": "Integrator", "permissions": []string{"oauth_clients.manage", "chat.read"},
	})
	eve := p.SignUp(t, "eve@example.com")
	p.Create(t, p.admin, "/v1/organizations/"+p.admin.OrganizationID+"/members", map[string]any{"userId": eve.UserID, "roles": []string{role}})
	eve = p.Switch(t, eve, p.admin.OrganizationID)
	mighty := p.register(t, map[string]any{"scopes": []string{"openid", "members.write"}})
	for name, fields := range map[string]map[string]any{
		"act for itself":     {"grantTypes": []string{"authorization_code", "client_credentials"}},
		"bring codes to her": {"redirectUris": []string{"https://evil.example/"}},
	} {
		if status := p.change(t, eve, mighty, fields); status != http.StatusForbidden {
			t.Errorf("%s: %d", name, status)
		}
	}
	resp := p.Request(t, eve, http.MethodPost, "/v1/oauth-clients/"+mighty.ID+":rotateSecret", map[string]any{})
	if resp.Body.Close(); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a new secret: %d", resp.StatusCode)
	}
	if got := p.token(t, mighty, "grant_type", "refresh_token", "refresh_token", "x"); got.Error != "invalid_grant" {
		t.Errorf("the secret was changed: %+v", got)
	}
	own := p.register(t, map[string]any{"scopes": []string{"openid", "chat.read"}})
	if status := p.change(t, eve, own, map[string]any{"displayName": strings.Repeat("x", 8)}); status != http.StatusOK {
		t.Errorf("what she holds: %d", status)
	}
}

// S34: of two logins a browser brings along, one is of a neighboring host's making:
// neither counts. And a session is one browser's.
func TestS34ALoginIsOneBrowsersOwn(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.register(t, nil)
	_, challenge := relying.PKCE()
	asked := func(login ...string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.authorizeURL(c, challenge), nil)
		must(t, err)
		for _, value := range login {
			req.AddCookie(&http.Cookie{Name: "gh_oauth", Value: value})
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		must(t, err)
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		must(t, err)
		return string(raw)
	}
	login := func(s inprocess.Session) string {
		t.Helper()
		resp := p.Request(t, s, http.MethodPost, "/oauth2/login", nil)
		must(t, resp.Body.Close())
		if len(resp.Cookies()) != 1 {
			t.Fatalf("logging in: %d", resp.StatusCode)
		}
		return resp.Cookies()[0].Value
	}
	ada, eve := p.SignUp(t, "ada@example.com"), p.SignUp(t, "eve@example.com")
	mine, hers := login(ada), login(eve)
	if got := asked(mine); !strings.Contains(got, "ada@example.com") {
		t.Errorf("one login: %s", got)
	}
	for _, pair := range [][]string{{hers, mine}, {mine, hers}} {
		if got := asked(pair...); strings.Contains(got, "eve@example.com") || !strings.Contains(got, `action="/oauth2/sign-in"`) {
			t.Errorf("two logins: %s", got)
		}
	}
	next := login(ada)
	if got := asked(mine); !strings.Contains(got, `action="/oauth2/sign-in"`) {
		t.Errorf("the login before: %s", got)
	}
	if got := asked(next); !strings.Contains(got, "ada@example.com") {
		t.Errorf("the next login: %s", got)
	}
}

// A client that wants a sign-in now gets one, and no more.
func TestMaxAgeOfZeroAsksOnce(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.register(t, nil)
	_, challenge := relying.PKCE()
	b, ada := p.browser(t), p.SignUp(t, "ada@example.com")
	if shown := b.SignIn(t, b.Get(t, p.authorizeURL(c, challenge, "max_age", "0")), ada); !strings.Contains(shown.Body, `action="/oauth2/consent"`) {
		t.Errorf("after signing in: %d %s", shown.Status, shown.Body)
	}
}
