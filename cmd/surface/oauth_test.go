package surface_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/cmd/internal/relying"
)

// createOAuthGrant registers an OAuth client, to which the caller grants access. An unused
// authorization code and an open consent request remain. It returns the ids of client and grant.
func createOAuthGrant(t *testing.T, i *inprocess.Installation, s inprocess.Session) (clientID, grantID string) {
	t.Helper()
	c, b := relying.Register(t, i, s, nil), relying.NewBrowser(t, i)
	_, challenge := relying.PKCE()
	b.Agree(t, b.SignIn(t, b.Get(t, relying.AuthorizeURL(i, c, challenge)), s))
	b.Get(t, relying.AuthorizeURL(i, c, challenge, "prompt", "consent"))
	var mine struct{ Grants []struct{ ID string } }
	i.Get(t, s, "/v1/me/grants", &mine)
	return c.ID, mine.Grants[0].ID
}
