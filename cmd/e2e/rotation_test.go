package e2e_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// signedWithin is how long an auth process may take to follow a rotation.
const signedWithin = 90 * time.Second

// rotated: the signing key changes under load, and no request is refused: not with
// a token of the old key, nor with one of the new.
func rotated(t *testing.T, i *installation) {
	c := i.newUser(t)
	before := tokenHeader(c.AccessToken)
	// An installation that has run for a while.
	i.database.AdminExec(t, "UPDATE auth.signing_keys SET created_at = created_at - interval '1 hour'")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, path := range []string{"/v1/me", "/v1/assistants", "/v1/conversations"} {
		old := *c
		wg.Go(func() { requestRepeatedly(&old, path, stop) })
	}
	i.command(t, "gatehouse", "keys", "rotate")
	fresh := *c
	eventually(t, "tokens are signed by the next key", signedWithin, func() bool {
		fresh.useTokens(fresh.refresh())
		for _, path := range []string{"/v1/me", "/v1/assistants", "/v1/conversations"} {
			if answer := fresh.get(path); answer.status != http.StatusOK {
				t.Errorf("%s with a token of key %s: %d %s", path, tokenHeader(fresh.AccessToken), answer.status, answer.body)
			}
		}
		return tokenHeader(fresh.AccessToken) != before
	})
	close(stop)
	wg.Wait()
}

// requestRepeatedly asks again and again; each answer must be a good one.
func requestRepeatedly(c *client, path string, stop chan struct{}) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		answer, err := c.attempt(request{method: http.MethodGet, path: path})
		if err != nil || answer.status != http.StatusOK {
			c.t.Errorf("%s during the rotation: %d %s %v", path, answer.status, answer.body, err)
			return
		}
	}
}

// tokenHeader is the header of a token, which names its key.
func tokenHeader(token string) string {
	header, _, _ := strings.Cut(token, ".")
	return header
}
