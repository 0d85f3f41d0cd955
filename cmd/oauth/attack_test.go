package oauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/cmd/internal/relying"
)

// S26: a redirect URI must be equal to a registered one, character by character. Otherwise the
// browser shows an error page and is not redirected.
func TestS26OnlyRegisteredRedirectURIsAreFollowed(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.register(t, map[string]any{"redirectUris": []string{relying.RedirectURI, "http://127.0.0.1:7777/cb", "com.example.app:/cb"}})
	_, challenge := relying.PKCE()
	b := p.browser(t)
	for _, wrong := range []string{
		"https://app.example.evil.example/callback", "https://evil.example/https://app.example/callback",
		"https://app.example@evil.example/callback", "https://app.example:443/callback", "http://app.example/callback",
		"https://app.example/callback/..;/evil", "https://app.example/callback/../evil", "https://app.example/callback?x=1",
		"https://APP.example/callback", "https://app.example/Callback", "https://app.example/callback/", "https://app.example/callback#x",
		"https://app.example/callback%00", "//app.example/callback", "https://app.example", "", "http://localhost:7777/cb",
		"http://127.0.0.1:7777/other", "http://127.0.0.1.evil.example:7777/cb", "http://127.0.0.1:7777@evil.example/cb",
		"https://127.0.0.1:7777/cb", "com.example.app:/other", "com.example.app.evil:/cb",
	} {
		got := b.Get(t, p.authorizeURL(c, challenge, "redirect_uri", wrong))
		if got.Status != http.StatusBadRequest || got.Location != "" || !strings.Contains(got.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%q: %d to %q", wrong, got.Status, got.Location)
		}
	}
	for _, right := range []string{relying.RedirectURI, "http://127.0.0.1:7777/cb", "http://127.0.0.1:50123/cb", "com.example.app:/cb"} {
		if got := b.Get(t, p.authorizeURL(c, challenge, "redirect_uri", right)); got.Status != http.StatusOK || !strings.Contains(got.Body, "/oauth2/sign-in") {
			t.Errorf("%q: %d", right, got.Status)
		}
	}
	for _, path := range []string{"/oauth2/authorize", "/oauth2/end-session"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, p.URL+path, nil)
		must(t, err)
		resp, err := inprocess.Client().Do(req)
		must(t, err)
		if must(t, resp.Body.Close()); resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("HEAD %s: %d", path, resp.StatusCode)
		}
	}
	twice := p.authorizeURL(c, challenge) + "&redirect_uri=" + url.QueryEscape("https://evil.example/")
	if got := b.Get(t, twice); got.Status != http.StatusBadRequest || got.Location != "" {
		t.Errorf("two redirect URIs: %d to %q", got.Status, got.Location)
	}
	for _, bad := range []string{"https://*.example/cb", "http://app.example/cb", "https://a/#x", "https://u@a/", "javascript:alert(1)", "/cb", "https://a;script-src/"} {
		resp := p.Request(t, p.admin, http.MethodPost, "/v1/oauth-clients", map[string]any{
			"displayName": "x", "scopes": []string{"openid"}, "redirectUris": []string{bad},
		})
		if resp.Body.Close(); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("registering %q: %d", bad, resp.StatusCode)
		}
	}
}

// S27, S31: the error of an invalid request is returned to the client in the redirect, with the
// issuer.
func TestS27RequestsWithoutPKCEAndS31OtherFlowsAreRefused(t *testing.T) {
	t.Parallel()
	p := start(t)
	_, challenge := relying.PKCE()
	b := p.browser(t)
	for _, confidential := range []bool{true, false} {
		c := p.register(t, map[string]any{"confidential": confidential})
		for name, tc := range map[string]struct {
			pairs []string
			want  string
		}{
			"S27 no challenge":         {[]string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
			"S27 plain":                {[]string{"code_challenge_method", "plain"}, "invalid_request"},
			"S27 no method":            {[]string{"code_challenge_method", ""}, "invalid_request"},
			"S27 no SHA-256":           {[]string{"code_challenge", "short"}, "invalid_request"},
			"S31 implicit":             {[]string{"response_type", "token"}, "unsupported_response_type"},
			"S31 ID token":             {[]string{"response_type", "id_token"}, "unsupported_response_type"},
			"S31 hybrid":               {[]string{"response_type", "code id_token"}, "unsupported_response_type"},
			"S31 no response type":     {[]string{"response_type", ""}, "invalid_request"},
			"S31 fragment":             {[]string{"response_mode", "fragment"}, "invalid_request"},
			"S31 unknown mode":         {[]string{"response_mode", "web_message"}, "invalid_request"},
			"request object":           {[]string{"request", "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"},
			"a scope too many":         {[]string{"scope", "openid members.write"}, "invalid_scope"},
			"unknown prompt":           {[]string{"prompt", "sometimes"}, "invalid_request"},
			"prompt none with another": {[]string{"prompt", "none login"}, "invalid_request"},
			"max_age of no number":     {[]string{"max_age", "-1"}, "invalid_request"},
			"S34 nobody is signed in":  {[]string{"prompt", "none"}, "login_required"},
		} {
			to := relying.Sent(t, b.Get(t, p.authorizeURL(c, challenge, tc.pairs...)))
			query := to.Query()
			if to.Host != "app.example" || query.Get("error") != tc.want || query.Get("state") != "a state" || query.Get("iss") != p.URL || query.Has("code") {
				t.Errorf("%s: sent to %s", name, to)
			}
		}
	}
	c := p.register(t, nil)
	for name, tc := range map[string]struct {
		pairs []string
		want  string
	}{
		"S31 password":                {[]string{"grant_type", "password", "username", inprocess.AdminEmail, "password", inprocess.AdminPassword}, "unsupported_grant_type"},
		"S31 device":                  {[]string{"grant_type", "urn:ietf:params:oauth:grant-type:device_code"}, "unsupported_grant_type"},
		"S31 no grant type":           {nil, "invalid_request"},
		"S31 unregistered grant type": {[]string{"grant_type", "client_credentials"}, "unauthorized_client"},
	} {
		if got := p.token(t, c, tc.pairs...); got.Error != tc.want || got.Status != http.StatusBadRequest {
			t.Errorf("%s: %+v", name, got)
		}
	}
	var refused struct{ Error string }
	status, header := p.call(t, client{ID: c.ID, Secret: "wrong"}, "/oauth2/token", &refused, "grant_type", "refresh_token")
	if status != http.StatusUnauthorized || refused.Error != "invalid_client" || header.Get("WWW-Authenticate") == "" {
		t.Errorf("a wrong secret: %d %+v", status, refused)
	}
}

// S28, S30: a code is valid only with its verifier and redirect URI, and for its client.
func TestS28CodeNeedsItsVerifierAndS30ItsClient(t *testing.T) {
	t.Parallel()
	p := start(t)
	c, other := p.register(t, nil), p.register(t, nil)
	public := p.register(t, map[string]any{"confidential": false})
	ada := p.SignUp(t, "ada@example.com")
	for name, try := range map[string]func(code, verifier string) tokens{
		"S28 no verifier":      func(code, _ string) tokens { return p.exchange(t, c, code, "") },
		"S28 another verifier": func(code, verifier string) tokens { return p.exchange(t, c, code, verifier+"x") },
		"another redirect URI": func(code, verifier string) tokens {
			return p.token(t, c, "grant_type", "authorization_code", "code", code, "redirect_uri", "https://evil.example/", "code_verifier", verifier)
		},
		"no redirect URI": func(code, verifier string) tokens {
			return p.token(t, c, "grant_type", "authorization_code", "code", code, "code_verifier", verifier)
		},
	} {
		code, verifier := p.code(t, c, ada)
		if got := try(code, verifier); got.Error != "invalid_grant" || got.AccessToken != "" {
			t.Errorf("%s: %+v", name, got)
		}
		if got := p.exchange(t, c, code, verifier); got.Error != "invalid_grant" {
			t.Errorf("%s, and then the correct request: %+v", name, got)
		}
	}
	code, verifier := p.code(t, c, ada)
	for name, thief := range map[string]client{"S30 another client": other, "S30 a public client": public} {
		if got := p.exchange(t, thief, code, verifier); got.Error != "invalid_grant" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	mine := p.exchange(t, c, code, verifier)
	if mine.Status != http.StatusOK {
		t.Fatalf("the refused requests used up the code: %+v", mine)
	}
	for name, thief := range map[string]client{"S30 another client": other, "S30 a public client": public} {
		if got := p.refresh(t, thief, mine.RefreshToken); got.Error != "invalid_grant" {
			t.Errorf("%s refreshes: %+v", name, got)
		}
	}
	resp := p.Request(t, inprocess.Session{}, http.MethodPost, "/v1/auth/refresh", map[string]string{"refreshToken": mine.RefreshToken})
	if resp.Body.Close(); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("S30: the refresh token of a client renewed a session: %d", resp.StatusCode)
	}
	if got := p.refresh(t, c, mine.RefreshToken); got.Status != http.StatusOK {
		t.Errorf("the refused requests used up the refresh token: %+v", got)
	}
	// A refresh token that is used twice was copied, so all tokens of the grant are revoked.
	if got := p.refresh(t, c, mine.RefreshToken); got.Error != "invalid_grant" || p.active(t, c, mine.AccessToken) {
		t.Errorf("a refresh token used twice: %+v", got)
	}
}

// S29: of eight simultaneous exchanges of a code, one succeeds. Its tokens are revoked, since the
// other exchanges show that the code was stolen.
func TestS29CodeWorksOnceAndItsReuseRevokesTheTokens(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.register(t, nil)
	ada := p.SignUp(t, "ada@example.com")
	code, verifier := p.code(t, c, ada)
	got := make([]tokens, 8)
	var wg sync.WaitGroup
	for n := range got {
		wg.Go(func() { got[n] = p.exchange(t, c, code, verifier) })
	}
	wg.Wait()
	var won []tokens
	for _, g := range got {
		if g.Status == http.StatusOK {
			won = append(won, g)
		} else if g.Error != "invalid_grant" {
			t.Errorf("%+v", g)
		}
	}
	if len(won) != 1 {
		t.Fatalf("%d of 8 succeeded", len(won))
	}
	if p.active(t, c, won[0].AccessToken) || p.active(t, c, won[0].RefreshToken) || p.refresh(t, c, won[0].RefreshToken).Error != "invalid_grant" {
		t.Error("the tokens of a code that was used twice still work")
	}
}

// S32: only an authenticated client can introspect tokens, and only its own. No client can revoke
// the tokens of another.
func TestS32ClientsIntrospectAndRevokeOnlyTheirOwnTokens(t *testing.T) {
	t.Parallel()
	p := start(t)
	c, other := p.register(t, nil), p.register(t, nil)
	ada := p.SignUp(t, "ada@example.com")
	code, verifier := p.code(t, c, ada)
	mine := p.exchange(t, c, code, verifier)
	var result struct {
		Active               bool
		Scope, Sub, ClientID string
		TokenType            string `json:"token_type"`
		Exp, Iat             int64
		Error                string
	}
	for name, asker := range map[string]client{
		"nobody": {}, "an unknown client": {ID: ada.UserID, Secret: "x"}, "no secret": {ID: c.ID}, "another's secret": {ID: c.ID, Secret: other.Secret},
		"a public client": p.register(t, map[string]any{"confidential": false}),
	} {
		if status, _ := p.call(t, asker, "/oauth2/introspect", &result, "token", mine.AccessToken); status != http.StatusUnauthorized || result.Error != "invalid_client" {
			t.Errorf("%s asks: %d %+v", name, status, result)
		}
	}
	for token, kind := range map[string]string{mine.AccessToken: "Bearer", mine.RefreshToken: "refresh_token"} {
		result.Active = false
		p.call(t, c, "/oauth2/introspect", &result, "token", token)
		if !result.Active || result.Sub != ada.UserID || result.TokenType != kind || result.Scope != mine.Scope || result.Exp <= result.Iat {
			t.Errorf("its own token: %+v", result)
		}
		if p.active(t, other, token) {
			t.Errorf("a %s of another client is active", kind)
		}
	}
	for _, foreign := range []string{ada.AccessToken, mine.IDToken, "nonsense", ""} {
		if p.active(t, c, foreign) {
			t.Errorf("%.20q is active", foreign)
		}
	}
	for _, token := range []string{mine.AccessToken, mine.RefreshToken, "nonsense"} {
		if status, _ := p.call(t, other, "/oauth2/revoke", &struct{}{}, "token", token); status != http.StatusOK {
			t.Errorf("revoking the token of another client: %d", status)
		}
	}
	if !p.active(t, c, mine.AccessToken) || !p.active(t, c, mine.RefreshToken) {
		t.Error("another client revoked the tokens")
	}
	if status, _ := p.call(t, c, "/oauth2/revoke", &struct{}{}, "token", mine.AccessToken, "token_type_hint", "access_token"); status != http.StatusOK {
		t.Errorf("revoking: %d", status)
	}
	if p.active(t, c, mine.AccessToken) || p.active(t, c, mine.RefreshToken) {
		t.Error("revoked tokens are active")
	}
}

// S33: a client that acts for a user is limited to its scopes, and has no access to credentials.
func TestS33ClientsAreLimitedToTheirScopes(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.register(t, map[string]any{"scopes": []string{"openid", "chat.read", "chat.write", "members.write", "oauth_clients.manage"}})
	ada := p.SignUp(t, "ada@example.com")
	code, verifier := p.code(t, c, ada, "scope", "openid chat.read members.write oauth_clients.manage")
	s := inprocess.Session{AccessToken: p.exchange(t, c, code, verifier).AccessToken}
	for route, body := range map[string]any{
		"GET /v1/me": nil, "GET /v1/organizations": nil, "GET /v1/me/sessions": nil, "GET /v1/me/api-keys": nil, "GET /v1/me/grants": nil,
		"GET /v1/me/passkeys": nil, "GET /v1/oauth-clients": nil, "GET /v1/collections": nil,
		"POST /v1/conversations":            map[string]string{"title": "x"},
		"POST /v1/me/password":              map[string]string{"currentPassword": ada.Password, "newPassword": "quite another long one"},
		"POST /v1/me/api-keys":              map[string]any{"displayName": "x", "scopes": []string{"chat.read"}},
		"POST /v1/me/mfa/totp":              map[string]any{},
		"POST /v1/auth/step-up":             map[string]string{"password": ada.Password},
		"POST /v1/auth/switch-organization": map[string]string{"organizationId": ada.OrganizationID},
		"POST /v1/oauth-clients":            map[string]any{"displayName": "x", "scopes": []string{"openid"}, "redirectUris": []string{relying.RedirectURI}},
	} {
		verb, path, _ := strings.Cut(route, " ")
		resp := p.Request(t, s, verb, path, body)
		var problem struct{ Reason string }
		inprocess.DecodeProblem(t, resp, &problem)
		if resp.StatusCode != http.StatusForbidden || problem.Reason != "INSUFFICIENT_SCOPE" {
			t.Errorf("%s: %d %s", route, resp.StatusCode, problem.Reason)
		}
	}
	if status := p.status(t, s.AccessToken, "/v1/conversations"); status != http.StatusOK {
		t.Errorf("within its scope: %d", status)
	}
}

// S34: only the user can give consent, after being asked: not a page in a frame, not a form of
// another site, and not another browser with the ticket of this one.
func TestS34OnlyTheUserGivesConsent(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.register(t, nil)
	ada, eve := p.SignUp(t, "ada@example.com"), p.SignUp(t, "eve@example.com")
	b := p.browser(t)
	_, challenge := relying.PKCE()
	asked := b.SignIn(t, b.Get(t, p.authorizeURL(c, challenge)), ada)
	for name, want := range map[string]string{
		"X-Frame-Options": "DENY", "Content-Security-Policy": "frame-ancestors 'none'", "Cache-Control": "no-store",
	} {
		if got := asked.Header.Get(name); !strings.Contains(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := relying.Sent(t, b.Get(t, p.authorizeURL(c, challenge, "prompt", "none"))); got.Query().Get("error") != "consent_required" {
		t.Errorf("prompt=none: %s", got)
	}
	allow := asked.Form()
	allow.Set("decision", "allow")
	refused := func(name string, got relying.Page) {
		t.Helper()
		if got.Status/100 != 4 || got.Location != "" {
			t.Errorf("%s: %d to %q", name, got.Status, got.Location)
		}
	}
	refused("no ticket", b.Post(t, "/oauth2/consent", url.Values{"decision": {"allow"}}))
	refused("a made-up ticket", b.Post(t, "/oauth2/consent", url.Values{"decision": {"allow"}, "ticket": {"made-up"}}))
	refused("the form of another site", b.PostFrom(t, "https://evil.example", "/oauth2/consent", allow))
	others := p.browser(t)
	others.SignIn(t, others.Get(t, p.authorizeURL(c, challenge)), eve)
	refused("another browser", others.Post(t, "/oauth2/consent", allow))
	refused("a browser that is not signed in", p.browser(t).Post(t, "/oauth2/consent", allow))
	deny := asked.Form()
	deny.Set("decision", "deny")
	if got := relying.Sent(t, b.Post(t, "/oauth2/consent", deny)); got.Query().Get("error") != "access_denied" || got.Query().Has("code") {
		t.Errorf("refused: %s", got)
	}
	refused("the ticket again", b.Post(t, "/oauth2/consent", allow))
	refused("signing in from the form of another site", p.browser(t).PostFrom(t, "https://evil.example", "/oauth2/sign-in",
		url.Values{"request": {strings.SplitN(p.authorizeURL(c, challenge), "?", 2)[1]}, "email": {eve.Email}, "password": {eve.Password}}))
}
