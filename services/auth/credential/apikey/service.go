package apikey

import (
	"context"
	"crypto/sha256"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
)

// Deps is what the room needs.
type Deps struct {
	Store       *Store
	Authorizer  *authz.Authorizer
	Revocations *revocation.Store
	Trail       *audit.Trail
}

// Service implements the RPCs of API keys, and the one with which services look up a
// key.
type Service struct {
	authv1.UnsafeApiKeyServiceServer
	authv1.UnsafeApiKeyDirectoryServiceServer

	deps Deps
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("apikey", d); err != nil {
		return nil, err
	}
	return &Service{deps: d}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterApiKeyServiceServer(server, s)
	authv1.RegisterApiKeyDirectoryServiceServer(server, s)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "api_keys"}}
}

// Sweeps returns the periodic deletion of expired rows.
func (s *Service) Sweeps() []room.Sweep {
	return []room.Sweep{{Name: "delete expired API keys", Do: s.sweep}}
}

// ListApiKeys implements the RPC.
func (s *Service) ListApiKeys(ctx context.Context, req *authv1.ListApiKeysRequest) (*authv1.ListApiKeysResponse, error) { //nolint:revive,staticcheck // the contract's name
	caller, err := identity.RequireSelf(ctx)
	if err != nil {
		return nil, err
	}
	return s.List(ctx, caller.UserID, paging.From(req))
}

// CreateApiKey implements the RPC.
func (s *Service) CreateApiKey(ctx context.Context, req *authv1.CreateApiKeyRequest) (*authv1.ApiKeyWithSecret, error) { //nolint:revive,staticcheck // the contract's name
	caller, err := s.RequireFresh(ctx)
	if err != nil {
		return nil, err
	}
	var created *authv1.ApiKeyWithSecret
	err = s.deps.Store.inTx(ctx, caller.OrganizationID, caller.UserID, func(ctx context.Context, tx postgres.Tx) error {
		created, err = s.Create(ctx, tx, Holder{
			OrganizationID: caller.OrganizationID, UserID: caller.UserID, Permissions: s.deps.Authorizer.Allowed(caller),
		}, req.GetApiKey())
		return err
	})
	return created, err
}

// RotateApiKey implements the RPC.
func (s *Service) RotateApiKey(ctx context.Context, req *authv1.RotateApiKeyRequest) (*authv1.ApiKeyWithSecret, error) { //nolint:revive,staticcheck // the contract's name
	caller, err := s.RequireFresh(ctx)
	if err != nil {
		return nil, err
	}
	var rotated *authv1.ApiKeyWithSecret
	err = s.deps.Store.inTx(ctx, "", caller.UserID, func(ctx context.Context, tx postgres.Tx) error {
		rotated, err = s.Rotate(ctx, tx, caller.UserID, req.GetId())
		return err
	})
	return rotated, err
}

// DeleteApiKey implements the RPC.
func (s *Service) DeleteApiKey(ctx context.Context, req *authv1.DeleteApiKeyRequest) (*authv1.DeleteApiKeyResponse, error) { //nolint:revive,staticcheck // the contract's name
	caller, err := identity.RequireSelf(ctx)
	if err != nil {
		return nil, err
	}
	err = s.deps.Store.inTx(ctx, "", caller.UserID, func(ctx context.Context, tx postgres.Tx) error {
		return s.Delete(ctx, tx, caller.UserID, req.GetId())
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteApiKeyResponse{}, nil
}

// ResolveApiKey implements the RPC.
func (s *Service) ResolveApiKey(ctx context.Context, req *authv1.ResolveApiKeyRequest) (*authv1.ResolveApiKeyResponse, error) { //nolint:revive,staticcheck // the contract's name
	k, err := s.deps.Store.Resolve(ctx, [sha256.Size]byte(req.GetSecretHash()))
	if err != nil {
		return nil, err
	}
	return &authv1.ResolveApiKeyResponse{
		Id: k.ID, UserId: k.UserID, OrganizationId: k.OrganizationID, Roles: k.Roles, Permissions: k.Permissions, Scopes: k.Scopes,
		ServiceAccount: k.ServiceAccount,
	}, nil
}
