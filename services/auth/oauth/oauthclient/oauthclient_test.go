package oauthclient_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauthclient"
)

// valid returns a public client that Validate accepts.
func valid() oauthclient.Client {
	return oauthclient.Client{
		DisplayName: "App", Scopes: []string{oauthclient.ScopeOpenID}, RedirectURIs: []string{"https://app.example/callback"},
		GrantTypes: []string{oauthclient.GrantAuthorizationCode, oauthclient.GrantRefreshToken},
	}
}

func TestValidate_EachRule_NamesTheField(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*oauthclient.Client)
		field  string // empty: accepted
	}{
		{"a public client", func(*oauthclient.Client) {}, ""},
		{"a client for itself alone", func(c *oauthclient.Client) {
			c.SecretHash, c.RedirectURIs, c.GrantTypes = []byte{1}, nil, []string{oauthclient.GrantClientCredentials}
		}, ""},
		{"a blank name", func(c *oauthclient.Client) { c.DisplayName = " \t" }, "oauthClient.displayName"},
		{"no scope", func(c *oauthclient.Client) { c.Scopes = nil }, "oauthClient.scopes"},
		{"no grant type", func(c *oauthclient.Client) { c.GrantTypes = nil }, "oauthClient.grantTypes"},
		{"a code without a redirect", func(c *oauthclient.Client) { c.RedirectURIs = nil }, "oauthClient.redirectUris"},
		{"a refresh token without a code", func(c *oauthclient.Client) { c.GrantTypes = c.GrantTypes[1:] }, "oauthClient.grantTypes"},
		{"client credentials of a public client", func(c *oauthclient.Client) {
			c.GrantTypes = append(c.GrantTypes, oauthclient.GrantClientCredentials)
		}, "oauthClient.grantTypes"},
		{"a bad redirect", func(c *oauthclient.Client) { c.RedirectURIs = append(c.RedirectURIs, "http://app.example/") }, "oauthClient.redirectUris[1]"},
		{"a bad redirect after logout", func(c *oauthclient.Client) { c.PostLogoutRedirectURIs = []string{"/relative"} }, "oauthClient.postLogoutRedirectUris[0]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := valid()
			tc.change(&c)
			err := c.Validate()
			if tc.field == "" {
				if err != nil {
					t.Errorf("Validate returned %v", err)
				}
				return
			}
			if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != tc.field {
				t.Errorf("violations %v, want one on %s", v, tc.field)
			}
		})
	}
}

// RFC 8252 section 7 and RFC 9700 section 2.1: https, http on a loopback address, or a
// private scheme.
func TestValidate_RedirectURIs_FollowTheRFCs(t *testing.T) {
	t.Parallel()
	for uri, accepted := range map[string]bool{
		"https://app.example":              true,
		"https://app.example:8443/cb?x=1":  true,
		"http://localhost:3000/":           true,
		"http://127.0.0.1/":                true,
		"http://[::1]:8080/cb":             true,
		"com.example.app:/callback":        true,
		"http://app.example/":              false,
		"https://":                         false,
		"https://*.example/":               false,
		"https://user@app.example/":        false,
		"https://app.example/#fragment":    false,
		"https://app.example/a b":          false,
		"https://app.example\\@evil.test/": false,
		"https://app.example;evil.test/":   false,
		"javascript:alert(1)":              false,
		"data:text/html,x":                 false,
		"myapp:/callback":                  false,
		"/callback":                        false,
		"":                                 false,
		"http://127.0.0.1.evil.test/":      false,
		"http://localhost.evil.test/":      false,
	} {
		c := valid()
		c.RedirectURIs = []string{uri}
		if err := c.Validate(); (err == nil) != accepted {
			t.Errorf("%q: %v, want accepted %t", uri, err, accepted)
		}
	}
}

func TestAllowsRedirect_OnlyTheLoopbackPortMayDiffer(t *testing.T) {
	t.Parallel()
	c := oauthclient.Client{RedirectURIs: []string{"https://app.example/cb", "http://127.0.0.1/cb", "http://[::1]:1/cb", "http://localhost:3000/cb"}}
	for uri, want := range map[string]bool{
		"https://app.example/cb":     true,
		"https://app.example:443/cb": false,
		"https://app.example/cb/":    false,
		"https://app.example/cb?x=1": false,
		"https://APP.example/cb":     false,
		"http://127.0.0.1:54321/cb":  true,
		"http://127.0.0.1:54321/cb2": false,
		"http://127.0.0.2:54321/cb":  false,
		"https://127.0.0.1:54321/cb": false,
		"http://[::1]:54321/cb":      true,
		"http://localhost:3000/cb":   true,
		"http://localhost:3001/cb":   false, // a name can resolve to another address
		"":                           false,
	} {
		if got := c.AllowsRedirect(uri); got != want {
			t.Errorf("%q: %t, want %t", uri, got, want)
		}
	}
}

// Whatever text is registered as a redirect: users are sent only to that text, to https, to
// this machine or to an app.
func FuzzValidate_RedirectURI(f *testing.F) {
	for _, seed := range []string{
		"https://app.example/cb", "http://127.0.0.1:1/", "http://localhost/", "com.example.app:/cb", "https://a@b/", "https://[::1", "//x", "https:\\\\x",
		"https://app.example\x00/", "http://127.0.0.1#x", "HTTPS://APP.EXAMPLE/", "com.example.app:javascript:alert(1)",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		c := valid()
		c.RedirectURIs = []string{uri}
		if c.Validate() != nil {
			return
		}
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatalf("%q was accepted and cannot be parsed: %v", uri, err)
		}
		if u.User != nil || u.Fragment != "" || strings.ContainsAny(uri, "* \t\r\n\\") {
			t.Fatalf("%q was accepted", uri)
		}
		local := slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()) || strings.HasPrefix(u.Hostname(), "127.") || u.Hostname() == "0:0:0:0:0:0:0:1"
		if u.Scheme == "http" && !local && !strings.Contains(u.Hostname(), ":") {
			t.Fatalf("%q was accepted: http to another machine", uri)
		}
		if (u.Scheme == "https" || u.Scheme == "http") && u.Host == "" {
			t.Fatalf("%q was accepted without a host", uri)
		}
		if !c.AllowsRedirect(uri) {
			t.Fatalf("%q is registered and not allowed", uri)
		}
	})
}

func TestCheckScopes_NeedsPermissionsOfTheCaller(t *testing.T) {
	t.Parallel()
	c := oauthclient.Client{Scopes: []string{oauthclient.ScopeOpenID, oauthclient.ScopeOfflineAccess, "chat.read"}}
	if err := c.CheckScopes([]string{"chat.read"}); err != nil {
		t.Errorf("with the permission: %v", err)
	}
	if err := c.CheckScopes([]string{"chat.write"}); fault.ReasonOf(err) != faultv1.Reason_REASON_INVALID_ARGUMENT {
		t.Errorf("without the permission: %v", err)
	}
	if err := c.RequireCovered([]string{"chat.write"}); fault.ReasonOf(err) != faultv1.Reason_REASON_PERMISSION_DENIED {
		t.Errorf("a change without the permission: %v", err)
	}
	if err := c.RequireCovered([]string{"chat.read"}); err != nil {
		t.Errorf("a change with the permission: %v", err)
	}
}

func TestNarrowedBy_ReportsLostRights(t *testing.T) {
	t.Parallel()
	before := oauthclient.Client{Scopes: []string{"a", "b"}, GrantTypes: []string{"x"}, RedirectURIs: []string{"https://one.example/"}}
	for name, tc := range map[string]struct {
		change func(*oauthclient.Client)
		want   bool
	}{
		"nothing":         {func(*oauthclient.Client) {}, false},
		"another order":   {func(c *oauthclient.Client) { c.Scopes = []string{"b", "a"} }, false},
		"one more scope":  {func(c *oauthclient.Client) { c.Scopes = []string{"a", "b", "c"} }, false},
		"other redirects": {func(c *oauthclient.Client) { c.RedirectURIs = nil }, false},
		"one scope less":  {func(c *oauthclient.Client) { c.Scopes = []string{"a"} }, true},
		"no grant type":   {func(c *oauthclient.Client) { c.GrantTypes = nil }, true},
		"members only":    {func(c *oauthclient.Client) { c.MembersOnly = true }, true},
	} {
		after := before
		tc.change(&after)
		if got := before.NarrowedBy(after); got != tc.want {
			t.Errorf("%s: %t, want %t", name, got, tc.want)
		}
	}
}
