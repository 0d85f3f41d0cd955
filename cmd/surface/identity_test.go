package surface_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/id"
)

// identityOf gives a user somebody at a provider, and returns its id. It is written
// down past the service, which would ask a provider.
func identityOf(t *testing.T, i *inprocess.Installation, s inprocess.Session) string {
	t.Helper()
	made := id.New()
	i.Database.AdminExec(t, `INSERT INTO auth.identities (id, user_id, provider, issuer, subject, email, created_at)
		VALUES ('`+made+`', '`+s.UserID+`', 'acme', 'https://acme.example', '`+made+`', '', now())`)
	return made
}
