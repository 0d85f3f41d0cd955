package e2e_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"
)

const (
	races  = 100
	racers = 8
)

// S19: racedRefresh uses one refresh token eight times at once, a hundred times. One
// wins; the others hold a token that was used, which ends the session, the
// winner's new token included: one of them may be a thief.
func racedRefresh(t *testing.T, i *installation) {
	raceBetween(t, i, i)
}

// S19, S20: the same where two auth processes share a database, each with a gateway
// of its own: whichever they come to, one wins, and what is reused at one ends the
// session at both.
func TestS19RefreshIsRacedAcrossTwoAuthProcesses(t *testing.T) {
	t.Parallel()
	one := start(t, shapes()[0])
	raceBetween(t, one, startOn(t, shapes()[0], one.database.AdminURL))
}

// raceBetween has a user's tokens raced at two places at once.
func raceBetween(t *testing.T, one, other *installation) {
	t.Helper()
	c, elsewhere := one.newUser(t), other.newClient(t)
	var me struct {
		OrganizationID string `json:"organizationId"`
	}
	c.get("/v1/me").decode(&me)
	first := c.tokenPair
	for range races {
		// A new session, without a password that has to be hashed.
		c.useTokens(c.post("/v1/auth/switch-organization", map[string]any{"organizationId": me.OrganizationID}))
		race(t, c, elsewhere)
		if t.Failed() {
			return
		}
		c.tokenPair = first
	}
	// Other sessions of the same user are none of the thief's business.
	c.useTokens(c.refresh())
}

func (c *client) refresh() answer {
	c.t.Helper()
	return c.post("/v1/auth/refresh", map[string]any{"refreshToken": c.RefreshToken})
}

func race(t *testing.T, c, elsewhere *client) {
	t.Helper()
	places := []*client{c, elsewhere}
	r := c.postRequest("/v1/auth/refresh", map[string]any{"refreshToken": c.RefreshToken})
	answers, problems := make([]answer, racers), make([]error, racers)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for n := range racers {
		wg.Go(func() {
			<-begin
			answers[n], problems[n] = places[n%len(places)].attempt(r)
		})
	}
	close(begin)
	wg.Wait()
	if err := errors.Join(problems...); err != nil {
		t.Fatal(err)
	}
	won := 0
	for _, a := range answers {
		if a.status == http.StatusOK {
			won++
			c.useTokens(a)
		} else if a.status != http.StatusUnauthorized || a.problem().Reason != "REFRESH_TOKEN_REUSED" {
			t.Errorf("a loser got %d %s", a.status, a.body)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d won", won, racers)
	}
	elsewhere.tokenPair = c.tokenPair
	for _, place := range places {
		if after := place.refresh(); after.status != http.StatusUnauthorized {
			t.Errorf("the winner's token lives on: %d", after.status)
		}
	}
}
