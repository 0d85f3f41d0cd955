package surface_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/id"
)

// createIdentity gives a user an identity at an identity provider, and returns its id. It inserts
// the row directly, since the service would call the provider.
func createIdentity(t *testing.T, i *inprocess.Installation, s inprocess.Session) string {
	t.Helper()
	made := id.New()
	i.Database.AdminExec(t, `INSERT INTO auth.identities (id, user_id, provider, issuer, subject, email, created_at)
		VALUES ('`+made+`', '`+s.UserID+`', 'acme', 'https://acme.example', '`+made+`', '', now())`)
	return made
}
