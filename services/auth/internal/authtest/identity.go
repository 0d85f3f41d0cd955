package authtest

import (
	"testing"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

func (f *Federated) BeginLink(t *testing.T, tokens *authv1.TokenResponse) (*authv1.ProviderAttempt, error) {
	t.Helper()
	return f.Identities.BeginIdentity(With(t.Context(), tokens), &authv1.BeginIdentityRequest{Provider: f.Provider})
}

// FinishLink comes back from the provider to link, without any other credential.
func (f *Federated) FinishLink(t *testing.T, begun *authv1.ProviderAttempt, who map[string]any) (*authv1.Identity, error) {
	t.Helper()
	back := f.Callback(t, begun, who)
	return f.Identities.FinishIdentity(t.Context(), &authv1.FinishIdentityRequest{
		Provider: back.GetProvider(), State: back.GetState(), Secret: back.GetSecret(), Code: back.GetCode(),
	})
}

// LinkTo links somebody at the provider to whoever has tokens.
func (f *Federated) LinkTo(t *testing.T, tokens *authv1.TokenResponse, who map[string]any) *authv1.Identity {
	t.Helper()
	begun, err := f.BeginLink(t, tokens)
	Must(t, err)
	linked, err := f.FinishLink(t, begun, who)
	Must(t, err)
	return linked
}

func (b *Bundle) SignInWith(t *testing.T, email, password string) *authv1.TokenResponse {
	t.Helper()
	tokens, err := b.Sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: email, Password: password})
	Must(t, err)
	return tokens
}

func (f *Federated) RemoveIdentity(t *testing.T, tokens *authv1.TokenResponse, id string) error {
	t.Helper()
	_, err := f.Identities.DeleteIdentity(With(t.Context(), tokens), &authv1.DeleteIdentityRequest{Id: id})
	return err
}
