package serviceaccount

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/credential/apikey"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// ListServiceAccountApiKeys implements the RPC.
func (s *Service) ListServiceAccountApiKeys(ctx context.Context, req *authv1.ListServiceAccountApiKeysRequest) (*authv1.ListApiKeysResponse, error) { //nolint:revive,staticcheck // the contract's name
	if _, err := organization.RequireActing(ctx, req.GetOrganizationId()); err != nil {
		return nil, err
	}
	a, err := s.store.get(ctx, req.GetOrganizationId(), req.GetServiceAccountId())
	if err != nil {
		return nil, err
	}
	return s.deps.Keys.List(ctx, a.ID, paging.From(req))
}

// CreateServiceAccountApiKey implements the RPC.
func (s *Service) CreateServiceAccountApiKey(ctx context.Context, req *authv1.CreateServiceAccountApiKeyRequest) (*authv1.ApiKeyWithSecret, error) { //nolint:revive,staticcheck // the contract's name
	if _, err := s.deps.Keys.RequireFresh(ctx); err != nil {
		return nil, err
	}
	var created *authv1.ApiKeyWithSecret
	err := s.manageScoped(ctx, req, func(ctx context.Context, tx postgres.Tx, a ServiceAccount) (err error) {
		created, err = s.deps.Keys.Create(ctx, tx, apikey.Holder{
			OrganizationID: a.OrganizationID, UserID: a.ID, Permissions: s.deps.Rights.OfMember(a.member()).Permissions,
		}, req.GetApiKey())
		return err
	})
	return created, err
}

// RotateServiceAccountApiKey implements the RPC.
func (s *Service) RotateServiceAccountApiKey(ctx context.Context, req *authv1.RotateServiceAccountApiKeyRequest) (*authv1.ApiKeyWithSecret, error) { //nolint:revive,staticcheck // the contract's name
	if _, err := s.deps.Keys.RequireFresh(ctx); err != nil {
		return nil, err
	}
	var rotated *authv1.ApiKeyWithSecret
	err := s.manageScoped(ctx, req, func(ctx context.Context, tx postgres.Tx, a ServiceAccount) (err error) {
		rotated, err = s.deps.Keys.Rotate(ctx, tx, a.ID, req.GetId())
		return err
	})
	return rotated, err
}

// DeleteServiceAccountApiKey implements the RPC.
func (s *Service) DeleteServiceAccountApiKey(ctx context.Context, req *authv1.DeleteServiceAccountApiKeyRequest) (*authv1.DeleteApiKeyResponse, error) { //nolint:revive,staticcheck // the contract's name
	err := s.manageScoped(ctx, req, func(ctx context.Context, tx postgres.Tx, a ServiceAccount) error {
		return s.deps.Keys.Delete(ctx, tx, a.ID, req.GetId())
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteApiKeyResponse{}, nil
}

// manageScoped is manage with a transaction in the scope of the account.
func (s *Service) manageScoped(ctx context.Context, req interface {
	GetOrganizationId() string
	GetServiceAccountId() string
}, fn entity.Step[ServiceAccount],
) error {
	return s.manage(ctx, req.GetOrganizationId(), req.GetServiceAccountId(), func(ctx context.Context, tx postgres.Tx, a ServiceAccount) error {
		if err := enter(ctx, tx, a); err != nil {
			return err
		}
		return fn(ctx, tx, a)
	})
}
