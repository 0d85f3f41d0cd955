package oauth_test

import (
	"net/http"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/cmd/internal/relying"
)

func (p *product) update(t *testing.T, c client, fields map[string]any) {
	t.Helper()
	inprocess.Decode(t, p.Request(t, p.admin, http.MethodPatch, "/v1/oauth-clients/"+c.ID, fields), &struct{}{})
}

// S21: what a client loses, no refresh gives it again; and its end is the end of all
// that users have let it.
func TestS21ChangesOfAClientHoldForWhatItHas(t *testing.T) {
	t.Parallel()
	p := start(t)
	ada := p.SignUp(t, "ada@example.com")
	opened := func(c client) tokens {
		t.Helper()
		code, verifier := p.code(t, c, ada)
		return p.exchange(t, c, code, verifier)
	}

	c := p.register(t, nil)
	mine := opened(c)
	if narrow := p.token(t, c, "grant_type", "refresh_token", "refresh_token", mine.RefreshToken, "scope", "openid members.write"); narrow.Error != "invalid_scope" {
		t.Errorf("refreshed for more: %+v", narrow)
	}
	p.update(t, c, map[string]any{"scopes": []string{"openid"}})
	next := p.refresh(t, c, mine.RefreshToken) // it was not used by the refusal
	if next.Scope != "openid" || p.status(t, next.AccessToken, "/v1/conversations") != http.StatusForbidden {
		t.Errorf("refreshed with a scope that the client lost: %+v", next)
	}
	p.update(t, c, map[string]any{"scopes": []string{"profile"}})
	if gone := p.refresh(t, c, next.RefreshToken); gone.Error != "invalid_grant" {
		t.Errorf("refreshed with nothing left: %+v", gone)
	}

	c = p.register(t, nil)
	mine = opened(c)
	p.update(t, c, map[string]any{"membersOnly": true})
	if outside := p.refresh(t, c, mine.RefreshToken); outside.Error != "invalid_grant" {
		t.Errorf("refreshed where the client may act no more: %+v", outside)
	}
	_, challenge := relying.PKCE()
	b := p.browser(t)
	if to := relying.Sent(t, b.SignIn(t, b.Get(t, p.authorizeURL(c, challenge)), ada)); to.Query().Get("error") != "access_denied" {
		t.Errorf("a stranger is asked: %s", to)
	}

	c = p.register(t, nil)
	mine = opened(c)
	inprocess.Decode(t, p.Request(t, p.admin, http.MethodDelete, "/v1/oauth-clients/"+c.ID, nil), &struct{}{})
	if gone := p.refresh(t, c, mine.RefreshToken); gone.Error != "invalid_client" {
		t.Errorf("refreshed by a client that is gone: %+v", gone)
	}
	eventually(t, "the client's access token ends", func() bool {
		return p.status(t, mine.AccessToken, "/v1/conversations") == http.StatusUnauthorized
	})
	var grants struct{ Grants []struct{ ClientID string } }
	p.Get(t, ada, "/v1/me/grants", &grants)
	for _, g := range grants.Grants {
		if g.ClientID == c.ID {
			t.Error("the grant outlived its client")
		}
	}
}

// S22: whatever ends a user's sessions ends what clients have of it.
func TestS22WhatEndsAUsersSessionsEndsItsClients(t *testing.T) {
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
	eventually(t, "the client's access token ends", func() bool {
		return p.status(t, mine.AccessToken, "/v1/conversations") == http.StatusUnauthorized
	})
	if p.status(t, ada.AccessToken, "/v1/conversations") != http.StatusOK {
		t.Error("the session that was kept has ended")
	}
}
