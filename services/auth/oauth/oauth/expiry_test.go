package oauth_test

import (
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/credential/session"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauth"
)

// S25, S32: codes, access tokens and refresh tokens expire, and introspection then
// returns nothing about them.
func TestS32ExpiredTokensAreInactive(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	c := authtest.ConsentedOn(t, authtest.SetupWith(t, clk, auth.Config{}))
	tokens, err := c.Exchange(t)
	authtest.Must(t, err)
	if !c.Active(t, tokens.GetAccessToken()) || !c.Active(t, tokens.GetRefreshToken()) {
		t.Fatal("new tokens are not active")
	}
	clk.Advance(session.AccessTTL + time.Minute)
	if c.Active(t, tokens.GetAccessToken()) || !c.Active(t, tokens.GetRefreshToken()) {
		t.Error("after a quarter of an hour, not exactly the access token has expired")
	}
	tokens, err = c.RefreshTokens(t, tokens)
	authtest.Must(t, err)
	clk.Advance(session.TTL)
	if c.Active(t, tokens.GetRefreshToken()) {
		t.Error("a refresh token is active after its session ended")
	}
	_, err = c.RefreshTokens(t, tokens)
	authtest.WantReason(t, err, faultv1.Reason_REASON_OAUTH_INVALID_GRANT)

	clk = clock.NewFake(clock.System().Now())
	late := authtest.ConsentedOn(t, authtest.SetupWith(t, clk, auth.Config{}))
	clk.Advance(oauth.CodeTTL + time.Second)
	_, err = late.Exchange(t)
	authtest.WantReason(t, err, faultv1.Reason_REASON_OAUTH_INVALID_GRANT)
}
