package surface_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/services/auth/credential/factor/keystub"
)

// createPasskey registers a passkey of a user and returns its id.
func createPasskey(t *testing.T, i *inprocess.Installation, s inprocess.Session) string {
	t.Helper()
	device, err := keystub.New(strings.Replace(i.URL, "127.0.0.1", "localhost", 1))
	if err != nil {
		t.Fatal(err)
	}
	var asked struct {
		ChallengeID string
		PublicKey   map[string]any
	}
	inprocess.Decode(t, i.Request(t, s, http.MethodPost, "/v1/me/passkeys:begin", map[string]any{}), &asked)
	credential, err := device.Register(asked.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ Passkey struct{ ID string } }
	inprocess.Decode(t, i.Request(t, s, http.MethodPost, "/v1/me/passkeys:finish",
		map[string]any{"challengeId": asked.ChallengeID, "credential": credential}), &out)
	return out.Passkey.ID
}
