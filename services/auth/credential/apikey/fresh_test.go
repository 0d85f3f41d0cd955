package apikey_test

import (
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// S18: a session that was left open cannot create a key that outlives it.
func TestS18NewKeysNeedRecentSignIn(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now().Add(-8 * time.Minute))
	b := authtest.SetupWith(t, clk, auth.Config{})
	tokens, _ := b.SignUp(t, "ada@example.org")
	created := b.CreateKey(t, tokens, "chat.read")
	clk.Advance(identity.MaxAuthAge + time.Second)
	ctx := authtest.With(t.Context(), tokens)
	_, err := b.APIKeys.CreateApiKey(ctx, &authv1.CreateApiKeyRequest{ApiKey: &authv1.ApiKey{DisplayName: "x", Scopes: []string{"chat.read"}}})
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = b.APIKeys.RotateApiKey(ctx, &authv1.RotateApiKeyRequest{Id: created.GetApiKey().GetId()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	// Deleting a key needs only a session.
	_, err = b.APIKeys.DeleteApiKey(ctx, &authv1.DeleteApiKeyRequest{Id: created.GetApiKey().GetId()})
	authtest.Must(t, err)
}
