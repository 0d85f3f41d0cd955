package authtest

import (
	"context"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func (b *Bundle) CreateServiceAccount(ctx context.Context, organizationID string, roles ...string) (*authv1.ServiceAccount, error) {
	return b.ServiceAccounts.CreateServiceAccount(ctx, &authv1.CreateServiceAccountRequest{
		OrganizationId: organizationID, ServiceAccount: &authv1.ServiceAccount{DisplayName: " Importer ", Roles: roles},
	})
}

func (b *Bundle) UpdateServiceAccount(ctx context.Context, organizationID string, a *authv1.ServiceAccount, mask ...string) (*authv1.ServiceAccount, error) {
	return b.ServiceAccounts.UpdateServiceAccount(ctx, &authv1.UpdateServiceAccountRequest{
		OrganizationId: organizationID, ServiceAccount: a, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask},
	})
}

func (b *Bundle) DeleteServiceAccount(ctx context.Context, organizationID, accountID string) error {
	_, err := b.ServiceAccounts.DeleteServiceAccount(ctx, &authv1.DeleteServiceAccountRequest{OrganizationId: organizationID, Id: accountID})
	return err
}

func (b *Bundle) CreateServiceKey(ctx context.Context, organizationID, accountID string, scopes ...string) (*authv1.ApiKeyWithSecret, error) {
	return b.ServiceAccounts.CreateServiceAccountApiKey(ctx, &authv1.CreateServiceAccountApiKeyRequest{
		OrganizationId: organizationID, ServiceAccountId: accountID, ApiKey: &authv1.ApiKey{DisplayName: "Nightly", Scopes: scopes},
	})
}

func (b *Bundle) RotateServiceKey(ctx context.Context, organizationID, accountID, keyID string) (*authv1.ApiKeyWithSecret, error) {
	return b.ServiceAccounts.RotateServiceAccountApiKey(ctx, &authv1.RotateServiceAccountApiKeyRequest{
		OrganizationId: organizationID, ServiceAccountId: accountID, Id: keyID,
	})
}

func (b *Bundle) DeleteServiceKey(ctx context.Context, organizationID, accountID, keyID string) error {
	_, err := b.ServiceAccounts.DeleteServiceAccountApiKey(ctx, &authv1.DeleteServiceAccountApiKeyRequest{
		OrganizationId: organizationID, ServiceAccountId: accountID, Id: keyID,
	})
	return err
}

// KeyWorks tells whether a key's secret works.
func (b *Bundle) KeyWorks(t *testing.T, secret string) bool {
	t.Helper()
	_, err := b.Service.APIKey(t.Context(), keys.Hash(secret))
	if err != nil {
		WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	}
	return err == nil
}
