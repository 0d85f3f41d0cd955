package oauth_test

import (
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/credential/session"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauth"
)

// active reports whether introspection finds a token active.
func (c *consented) active(t *testing.T, token string) bool {
	t.Helper()
	told, err := c.oauth.IntrospectToken(c.gateway, &authv1.ClientTokenRequest{Client: c.credentials(), Token: token})
	authtest.Must(t, err)
	return told.GetActive()
}

// S25, S32: codes, access tokens and refresh tokens expire, and introspection then
// returns nothing about them.
func TestS32ExpiredTokensAreInactive(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	c := consentOn(t, authtest.SetupWith(t, clk, auth.Config{}))
	tokens, err := c.exchange(t)
	authtest.Must(t, err)
	if !c.active(t, tokens.GetAccessToken()) || !c.active(t, tokens.GetRefreshToken()) {
		t.Fatal("new tokens are not active")
	}
	clk.Advance(session.AccessTTL + time.Minute)
	if c.active(t, tokens.GetAccessToken()) || !c.active(t, tokens.GetRefreshToken()) {
		t.Error("after a quarter of an hour, not exactly the access token has expired")
	}
	tokens, err = c.refresh(t, tokens)
	authtest.Must(t, err)
	clk.Advance(session.TTL)
	if c.active(t, tokens.GetRefreshToken()) {
		t.Error("a refresh token is active after its session ended")
	}
	_, err = c.refresh(t, tokens)
	authtest.WantReason(t, err, faultv1.Reason_REASON_OAUTH_INVALID_GRANT)

	clk = clock.NewFake(clock.System().Now())
	late := consentOn(t, authtest.SetupWith(t, clk, auth.Config{}))
	clk.Advance(oauth.CodeTTL + time.Second)
	_, err = late.exchange(t)
	authtest.WantReason(t, err, faultv1.Reason_REASON_OAUTH_INVALID_GRANT)
}
