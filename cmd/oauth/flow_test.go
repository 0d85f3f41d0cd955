package oauth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/cmd/internal/relying"
)

func TestAuthorizationCode_Exchanged_TokensAreLimitedToTheirScopes(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.register(t, nil)
	ada := p.SignUp(t, "ada@example.com")
	b := p.browser(t)
	verifier, challenge := relying.PKCE()
	shown := b.Get(t, p.authorizeURL(c, challenge))
	if shown.Status != http.StatusOK || !strings.Contains(shown.Body, "Reader") {
		t.Fatalf("the sign-in page: %d %s", shown.Status, shown.Body)
	}
	asked := b.SignIn(t, shown, ada)
	for _, text := range []string{"Reader", "ada@example.com", "https://app.example", "chat.read"} {
		if !strings.Contains(asked.Body, text) {
			t.Errorf("the consent page does not contain %q", text)
		}
	}
	to := b.Agree(t, asked)
	query := to.Query()
	if to.Host != "app.example" || query.Get("state") != "a state" || query.Get("iss") != p.URL {
		t.Errorf("sent to %s", to)
	}
	got := p.exchange(t, c, query.Get("code"), verifier)
	if got.Status != http.StatusOK || got.TokenType != "Bearer" || got.ExpiresIn != 900 || got.Scope != "chat.read email openid" || got.IDToken == "" {
		t.Fatalf("tokens: %+v", got)
	}
	for path, want := range map[string]int{
		"/v1/conversations": http.StatusOK, "/v1/collections": http.StatusForbidden, "/v1/me": http.StatusForbidden,
		"/v1/me/sessions": http.StatusForbidden, "/oauth2/userinfo": http.StatusOK,
	} {
		if status := p.status(t, got.AccessToken, path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	var userinfo struct {
		Sub, Email, Name string
		EmailVerified    bool `json:"email_verified"`
	}
	p.Get(t, inprocess.Session{AccessToken: got.AccessToken}, "/oauth2/userinfo", &userinfo)
	if userinfo.Sub != ada.UserID || userinfo.Email != "ada@example.com" || userinfo.Name != "" {
		t.Errorf("userinfo: %+v", userinfo)
	}
	next := p.refresh(t, c, got.RefreshToken)
	if next.Status != http.StatusOK || next.RefreshToken == got.RefreshToken || next.IDToken == "" {
		t.Errorf("refreshed: %+v", next)
	}
	// The user is not asked again for a grant that exists. The user can remove it.
	_, challenge = relying.PKCE()
	if again := relying.Sent(t, b.Get(t, p.authorizeURL(c, challenge, "prompt", "none"))); again.Query().Get("code") == "" {
		t.Errorf("asked again: %s", again)
	}
	var mine struct {
		Grants []struct{ ID, ClientID, ClientDisplayName string }
	}
	p.Get(t, ada, "/v1/me/grants", &mine)
	if len(mine.Grants) != 1 || mine.Grants[0].ClientID != c.ID || mine.Grants[0].ClientDisplayName != "Reader" {
		t.Fatalf("grants: %+v", mine)
	}
	inprocess.Decode(t, p.Request(t, ada, http.MethodDelete, "/v1/me/grants/"+mine.Grants[0].ID, nil), &struct{}{})
	if after := p.refresh(t, c, next.RefreshToken); after.Error != "invalid_grant" {
		t.Errorf("refreshed after the grant was removed: %+v", after)
	}
	if p.active(t, c, next.AccessToken) {
		t.Error("the access token is active after the grant was removed")
	}
	if again := relying.Sent(t, b.Get(t, p.authorizeURL(c, challenge, "prompt", "none"))); again.Query().Get("error") != "consent_required" {
		t.Errorf("not asked again: %s", again)
	}
}
