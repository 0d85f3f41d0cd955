package oauth_test

import (
	"net/http"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/cmd/internal/relying"
)

// update changes a client, which must succeed.
func (p *product) update(t *testing.T, c client, fields map[string]any) {
	t.Helper()
	inprocess.Decode(t, p.Request(t, p.admin, http.MethodPatch, "/v1/oauth-clients/"+c.ID, fields), &struct{}{})
}

// S21: when a client loses a scope, a refresh does not return that scope. When a client is deleted,
// the grants of its users are deleted too.
func TestS21ChangesOfAClientApplyToItsTokens(t *testing.T) {
	t.Parallel()
	p := start(t)
	ada := p.SignUp(t, "ada@example.com")
	tokensFor := func(c client) tokens {
		t.Helper()
		code, verifier := p.code(t, c, ada)
		return p.exchange(t, c, code, verifier)
	}

	c := p.register(t, nil)
	mine := tokensFor(c)
	if narrow := p.token(t, c, "grant_type", "refresh_token", "refresh_token", mine.RefreshToken, "scope", "openid members.write"); narrow.Error != "invalid_scope" {
		t.Errorf("refreshed with an additional scope: %+v", narrow)
	}
	p.update(t, c, map[string]any{"scopes": []string{"openid"}})
	next := p.refresh(t, c, mine.RefreshToken) // the refusal has not used the token
	if next.Scope != "openid" || p.status(t, next.AccessToken, "/v1/conversations") != http.StatusForbidden {
		t.Errorf("refreshed with a scope that the client lost: %+v", next)
	}
	p.update(t, c, map[string]any{"scopes": []string{"profile"}})
	if got := p.refresh(t, c, next.RefreshToken); got.Error != "invalid_grant" {
		t.Errorf("refreshed with no scope left: %+v", got)
	}

	c = p.register(t, nil)
	mine = tokensFor(c)
	p.update(t, c, map[string]any{"membersOnly": true})
	if outside := p.refresh(t, c, mine.RefreshToken); outside.Error != "invalid_grant" {
		t.Errorf("refreshed by a client that is for members only: %+v", outside)
	}
	_, challenge := relying.PKCE()
	b := p.browser(t)
	if to := relying.Sent(t, b.SignIn(t, b.Get(t, p.authorizeURL(c, challenge)), ada)); to.Query().Get("error") != "access_denied" {
		t.Errorf("a user outside the organization is asked: %s", to)
	}

	c = p.register(t, nil)
	mine = tokensFor(c)
	inprocess.Decode(t, p.Request(t, p.admin, http.MethodDelete, "/v1/oauth-clients/"+c.ID, nil), &struct{}{})
	if got := p.refresh(t, c, mine.RefreshToken); got.Error != "invalid_client" {
		t.Errorf("refreshed by a deleted client: %+v", got)
	}
	eventually(t, "the access token of the client is refused", func() bool {
		return p.status(t, mine.AccessToken, "/v1/conversations") == http.StatusUnauthorized
	})
	var grants struct{ Grants []struct{ ClientID string } }
	p.Get(t, ada, "/v1/me/grants", &grants)
	for _, g := range grants.Grants {
		if g.ClientID == c.ID {
			t.Error("the grant exists after its client was deleted")
		}
	}
}

// S22: when the sessions of a user end, the tokens that clients have for this user are revoked.
func TestS22EndingSessionsRevokesTokensOfClients(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.register(t, nil)
	ada := p.SignUp(t, "ada@example.com")
	code, verifier := p.code(t, c, ada)
	mine := p.exchange(t, c, code, verifier)
	inprocess.Decode(t, p.Request(t, ada, http.MethodPost, "/v1/me/sessions:end", map[string]any{"keepCurrent": true}), &struct{}{})
	if after := p.refresh(t, c, mine.RefreshToken); after.Error != "invalid_grant" {
		t.Errorf("refreshed after signing out everywhere: %+v", after)
	}
	eventually(t, "the access token of the client is refused", func() bool {
		return p.status(t, mine.AccessToken, "/v1/conversations") == http.StatusUnauthorized
	})
	if p.status(t, ada.AccessToken, "/v1/conversations") != http.StatusOK {
		t.Error("the current session has ended too")
	}
}
