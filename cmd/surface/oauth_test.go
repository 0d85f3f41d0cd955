package surface_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/cmd/internal/relying"
)

// allowed registers a client that its maker lets act, with a code on its way and
// another question open, and returns the ids of client and grant.
func allowed(t *testing.T, i *inprocess.Installation, s inprocess.Session) (clientID, grantID string) {
	t.Helper()
	c, b := relying.Register(t, i, s, nil), relying.NewBrowser(t, i)
	_, challenge := relying.PKCE()
	b.Agree(t, b.SignIn(t, b.Get(t, relying.AuthorizeURL(i, c, challenge)), s))
	b.Get(t, relying.AuthorizeURL(i, c, challenge, "prompt", "consent"))
	var mine struct{ Grants []struct{ ID string } }
	i.Get(t, s, "/v1/me/grants", &mine)
	return c.ID, mine.Grants[0].ID
}
