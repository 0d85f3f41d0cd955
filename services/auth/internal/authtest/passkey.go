package authtest

import (
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gatehouse/gatehouse/platform/rpctest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/credential/factor/keystub"
)

// NewPasskey returns a device that can register a passkey.
func NewPasskey(t *testing.T) *keystub.Key {
	t.Helper()
	key, err := keystub.New(rpctest.Issuer)
	Must(t, err)
	return key
}

// RegisterPasskey registers a passkey for the user of the tokens.
func (b *Bundle) RegisterPasskey(t *testing.T, tokens *authv1.TokenResponse, key *keystub.Key) *authv1.FinishPasskeyResponse {
	t.Helper()
	asked, err := b.Passkeys.BeginPasskey(With(t.Context(), tokens), &authv1.BeginPasskeyRequest{})
	Must(t, err)
	answer, err := key.Register(asked.GetPublicKey().AsMap())
	Must(t, err)
	out, err := b.Passkeys.FinishPasskey(With(t.Context(), tokens), &authv1.FinishPasskeyRequest{
		ChallengeId: asked.GetChallengeId(), Credential: ToStruct(t, answer), DisplayName: "Phone",
	})
	Must(t, err)
	return out
}

// ToStruct converts a JSON object.
func ToStruct(t *testing.T, fields map[string]any) *structpb.Struct {
	t.Helper()
	out, err := structpb.NewStruct(fields)
	Must(t, err)
	return out
}

// BeginPasskeySignIn begins a sign-in with a passkey, for a challenge unless that is
// empty.
func (b *Bundle) BeginPasskeySignIn(t *testing.T, challenge string) *authv1.PasskeyCeremony {
	t.Helper()
	asked, err := b.Sessions.BeginPasskeySignIn(t.Context(), &authv1.BeginPasskeySignInRequest{MfaChallengeId: challenge})
	Must(t, err)
	return asked
}

// SignPasskey returns the response of a device to a ceremony.
func SignPasskey(t *testing.T, key *keystub.Key, asked *authv1.PasskeyCeremony) *authv1.PasskeyAnswer {
	t.Helper()
	answer, err := key.Sign(asked.GetPublicKey().AsMap())
	Must(t, err)
	return &authv1.PasskeyAnswer{ChallengeId: asked.GetChallengeId(), Credential: ToStruct(t, answer)}
}

// FinishPasskeySignIn signs in with the response of a device.
func (b *Bundle) FinishPasskeySignIn(t *testing.T, answer *authv1.PasskeyAnswer) (*authv1.TokenResponse, error) {
	t.Helper()
	return b.Sessions.FinishPasskeySignIn(t.Context(), &authv1.FinishPasskeySignInRequest{
		ChallengeId: answer.GetChallengeId(), Credential: answer.GetCredential(),
	})
}

// WantPasskeyRefused fails the test unless the response of a device is refused.
func (b *Bundle) WantPasskeyRefused(t *testing.T, answer *authv1.PasskeyAnswer) {
	t.Helper()
	_, err := b.FinishPasskeySignIn(t, answer)
	WantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
}
