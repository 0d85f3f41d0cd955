package key_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/authclient"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// S7: the key that signs next is already published.
func TestGetJwks_KeysVerifyTokens(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	tokens, p := b.SignUp(t, "ada@example.org")
	set, err := b.Keys.GetJwks(t.Context(), &authv1.GetJwksRequest{})
	authtest.Must(t, err)
	if len(set.GetKeys()) != 2 {
		t.Errorf("published %d keys, want the current and the next", len(set.GetKeys()))
	}
	verifier, err := identity.NewVerifier(identity.VerifierConfig{Issuer: rpctest.Issuer, Service: "chat"},
		identity.NewKeys(authclient.Keys(b.Conn), clock.System()), clock.System())
	authtest.Must(t, err)
	if got, err := verifier.Access(t.Context(), tokens.GetAccessToken()); err != nil || got.UserID != p.UserID {
		t.Errorf("verified as %v, %v", got, err)
	}
}
