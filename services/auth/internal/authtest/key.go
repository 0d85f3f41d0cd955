package authtest

import (
	"context"
	"testing"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/rpcclient"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// CreateKey creates an API key for the user of the tokens.
func (b *Bundle) CreateKey(t *testing.T, tokens *authv1.TokenResponse, scopes ...string) *authv1.ApiKeyWithSecret {
	t.Helper()
	created, err := b.APIKeys.CreateApiKey(With(t.Context(), tokens), &authv1.CreateApiKeyRequest{
		ApiKey: &authv1.ApiKey{DisplayName: "Nightly", Scopes: scopes},
	})
	Must(t, err)
	return created
}

// AsService returns a context whose calls are those of the chat service.
func (b *Bundle) AsService(t *testing.T, audience string) context.Context {
	t.Helper()
	secret, err := rpcclient.ServiceSecret(pgtest.SecretKey(), "chat")
	Must(t, err)
	token, err := b.ServiceTokens.IssueServiceToken(t.Context(), &authv1.IssueServiceTokenRequest{ClientId: "chat", ClientSecret: secret, Audience: audience})
	Must(t, err)
	return metadata.AppendToOutgoingContext(t.Context(), rpcserver.MetadataServiceToken, token.GetAccessToken())
}

// CreatePublishableKey creates a publishable key.
func (b *Bundle) CreatePublishableKey(ctx context.Context, origins ...string) (*authv1.PublishableKey, error) {
	return b.PublishableKeys.CreatePublishableKey(ctx, &authv1.CreatePublishableKeyRequest{
		PublishableKey: &authv1.PublishableKey{DisplayName: " Site ", Origins: origins},
	})
}

// UpdatePublishableKey updates a publishable key.
func (b *Bundle) UpdatePublishableKey(ctx context.Context, k *authv1.PublishableKey, mask ...string) (*authv1.PublishableKey, error) {
	return b.PublishableKeys.UpdatePublishableKey(ctx, &authv1.UpdatePublishableKeyRequest{
		PublishableKey: k, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask},
	})
}

// CreateServiceAccount creates a service account.
func (b *Bundle) CreateServiceAccount(ctx context.Context, organizationID string, roles ...string) (*authv1.ServiceAccount, error) {
	return b.ServiceAccounts.CreateServiceAccount(ctx, &authv1.CreateServiceAccountRequest{
		OrganizationId: organizationID, ServiceAccount: &authv1.ServiceAccount{DisplayName: " Importer ", Roles: roles},
	})
}

// UpdateServiceAccount updates a service account.
func (b *Bundle) UpdateServiceAccount(ctx context.Context, organizationID string, a *authv1.ServiceAccount, mask ...string) (*authv1.ServiceAccount, error) {
	return b.ServiceAccounts.UpdateServiceAccount(ctx, &authv1.UpdateServiceAccountRequest{
		OrganizationId: organizationID, ServiceAccount: a, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask},
	})
}

// DeleteServiceAccount deletes a service account.
func (b *Bundle) DeleteServiceAccount(ctx context.Context, organizationID, accountID string) error {
	_, err := b.ServiceAccounts.DeleteServiceAccount(ctx, &authv1.DeleteServiceAccountRequest{OrganizationId: organizationID, Id: accountID})
	return err
}

// CreateServiceKey creates an API key of a service account.
func (b *Bundle) CreateServiceKey(ctx context.Context, organizationID, accountID string, scopes ...string) (*authv1.ApiKeyWithSecret, error) {
	return b.ServiceAccounts.CreateServiceAccountApiKey(ctx, &authv1.CreateServiceAccountApiKeyRequest{
		OrganizationId: organizationID, ServiceAccountId: accountID, ApiKey: &authv1.ApiKey{DisplayName: "Nightly", Scopes: scopes},
	})
}

// RotateServiceKey rotates an API key of a service account.
func (b *Bundle) RotateServiceKey(ctx context.Context, organizationID, accountID, keyID string) (*authv1.ApiKeyWithSecret, error) {
	return b.ServiceAccounts.RotateServiceAccountApiKey(ctx, &authv1.RotateServiceAccountApiKeyRequest{
		OrganizationId: organizationID, ServiceAccountId: accountID, Id: keyID,
	})
}

// DeleteServiceKey deletes an API key of a service account.
func (b *Bundle) DeleteServiceKey(ctx context.Context, organizationID, accountID, keyID string) error {
	_, err := b.ServiceAccounts.DeleteServiceAccountApiKey(ctx, &authv1.DeleteServiceAccountApiKeyRequest{
		OrganizationId: organizationID, ServiceAccountId: accountID, Id: keyID,
	})
	return err
}

// KeyWorks reports whether the secret of an API key works.
func (b *Bundle) KeyWorks(t *testing.T, secret string) bool {
	t.Helper()
	_, err := b.Service.APIKey(t.Context(), keys.Hash(secret))
	if err != nil {
		WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	}
	return err == nil
}
