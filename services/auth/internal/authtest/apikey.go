package authtest

import (
	"testing"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

func (b *Bundle) CreateKey(t *testing.T, tokens *authv1.TokenResponse, scopes ...string) *authv1.ApiKeyWithSecret {
	t.Helper()
	created, err := b.ApiKeys.CreateApiKey(With(t.Context(), tokens), &authv1.CreateApiKeyRequest{
		ApiKey: &authv1.ApiKey{DisplayName: "Nightly", Scopes: scopes},
	})
	Must(t, err)
	return created
}
