package oauth_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/cmd/internal/relying"
)

// change changes a client and returns the status.
func (p *product) change(t *testing.T, s inprocess.Session, c client, fields map[string]any) int {
	t.Helper()
	resp := p.Request(t, s, http.MethodPatch, "/v1/oauth-clients/"+c.ID, fields)
	must(t, resp.Body.Close())
	return resp.StatusCode
}

// S21: a code is invalid after its user removed the grant, and after its client became limited to
// the members of its organization or lost the scopes.
func TestS21CodeIsInvalidWithoutItsGrant(t *testing.T) {
	t.Parallel()
	p := start(t)
	ada := p.SignUp(t, "ada@example.com")
	for name, end := range map[string]func(c client){
		"the grant is removed": func(client) {
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

// S22: when the registration of a client is reduced, its tokens are revoked.
func TestS22ReducedRegistrationRevokesTokens(t *testing.T) {
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
			t.Errorf("%s: renaming the client revoked the tokens", name)
		}
		if status := p.change(t, p.admin, c, fields); status != http.StatusOK {
			t.Fatalf("%s: %d", name, status)
		}
		if p.active(t, c, delegated.AccessToken) || p.active(t, c, own.AccessToken) {
			t.Errorf("%s: the tokens are active", name)
		}
	}
}

// S34: a consent is refused when the client changed after the consent page was shown: when it lost
// the redirect URI or the scopes, or became limited to members.
func TestS34ConsentToAChangedClientIsRefused(t *testing.T) {
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

// S45: nobody gains rights by a client. To change a client or rotate its secret, a user needs all
// the permissions that the client has as scopes.
func TestS45ChangingAClientNeedsItsPermissions(t *testing.T) {
	t.Parallel()
	p := start(t)
	role := p.Create(t, p.admin, "/v1/organizations/"+p.admin.OrganizationID+"/roles", map[string]any{
		"displayName": "Integrator", "permissions": []string{"oauth_clients.manage", "chat.read"},
	})
	eve := p.SignUp(t, "eve@example.com")
	p.Create(t, p.admin, "/v1/organizations/"+p.admin.OrganizationID+"/members", map[string]any{"userId": eve.UserID, "roles": []string{role}})
	eve = p.Switch(t, eve, p.admin.OrganizationID)
	privileged := p.register(t, map[string]any{"scopes": []string{"openid", "members.write"}})
	for name, fields := range map[string]map[string]any{
		"client credentials": {"grantTypes": []string{"authorization_code", "client_credentials"}},
		"her redirect URI":   {"redirectUris": []string{"https://evil.example/"}},
	} {
		if status := p.change(t, eve, privileged, fields); status != http.StatusForbidden {
			t.Errorf("%s: %d", name, status)
		}
	}
	resp := p.Request(t, eve, http.MethodPost, "/v1/oauth-clients/"+privileged.ID+":rotateSecret", map[string]any{})
	if resp.Body.Close(); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a new secret: %d", resp.StatusCode)
	}
	if got := p.token(t, privileged, "grant_type", "refresh_token", "refresh_token", "x"); got.Error != "invalid_grant" {
		t.Errorf("the secret was changed: %+v", got)
	}
	own := p.register(t, map[string]any{"scopes": []string{"openid", "chat.read"}})
	if status := p.change(t, eve, own, map[string]any{"displayName": strings.Repeat("x", 8)}); status != http.StatusOK {
		t.Errorf("a client within her permissions: %d", status)
	}
}

// S34: when a browser sends two login cookies, a neighboring host may have set one of them, so
// neither is accepted. A session is logged in in one browser only.
func TestS34LoginBelongsToOneBrowser(t *testing.T) {
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
		t.Errorf("the earlier login: %s", got)
	}
	if got := asked(next); !strings.Contains(got, "ada@example.com") {
		t.Errorf("the next login: %s", got)
	}
}

// For max_age=0 the user signs in once, and is not asked again for that request.
func TestAuthorize_MaxAgeZero_AsksForSignInOnce(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.register(t, nil)
	_, challenge := relying.PKCE()
	b, ada := p.browser(t), p.SignUp(t, "ada@example.com")
	if shown := b.SignIn(t, b.Get(t, p.authorizeURL(c, challenge, "max_age", "0")), ada); !strings.Contains(shown.Body, `action="/oauth2/consent"`) {
		t.Errorf("after signing in: %d %s", shown.Status, shown.Body)
	}
}
