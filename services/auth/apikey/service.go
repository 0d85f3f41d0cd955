package apikey

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/revocation"
)

// Deps is what the room needs; all of it.
type Deps struct {
	Store       *Store
	Authorizer  *authz.Authorizer
	Revocations *revocation.Store
	Trail       *audit.Trail
}

// Service implements the RPCs of API keys.
type Service struct {
	authv1.UnsafeApiKeyServiceServer

	deps Deps
}

// NewService returns the service.
func NewService(deps Deps) (*Service, error) {
	if deps.Store == nil || deps.Authorizer == nil || deps.Revocations == nil || deps.Trail == nil {
		return nil, errors.New("apikey: every dependency is required")
	}
	return &Service{deps: deps}, nil
}

// ListApiKeys implements the RPC.
func (s *Service) ListApiKeys(ctx context.Context, req *authv1.ListApiKeysRequest) (*authv1.ListApiKeysResponse, error) { //nolint:revive,staticcheck // the contract's name
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.deps.Store.list(ctx, caller.UserID, paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListApiKeysResponse{NextPageToken: next}
	for _, k := range items {
		out.ApiKeys = append(out.ApiKeys, encode(k))
	}
	return out, nil
}

// CreateApiKey implements the RPC.
func (s *Service) CreateApiKey(ctx context.Context, req *authv1.CreateApiKeyRequest) (*authv1.ApiKeyWithSecret, error) { //nolint:revive,staticcheck // the contract's name
	caller, err := s.requireFresh(ctx)
	if err != nil {
		return nil, err
	}
	k, now := decode(req.GetApiKey()), s.deps.Store.now()
	if err := k.Validate(s.deps.Authorizer.Allowed(caller), now); err != nil {
		return nil, err
	}
	secret := apikey.New()
	k.ID, k.UserID, k.OrganizationID, k.CreateTime = id.New(), caller.UserID, caller.OrganizationID, now
	k.Prefix = apikey.Shown(secret)
	err = s.deps.Store.inTx(ctx, caller.OrganizationID, caller.UserID, func(ctx context.Context, tx postgres.Tx) error {
		n, err := s.deps.Store.count(ctx, tx, caller.UserID)
		if err != nil {
			return err
		}
		if n >= maxPerUser {
			return fault.New(faultv1.Reason_REASON_CONFLICT, "you have %d API keys: delete one first", n)
		}
		if err := s.deps.Store.insert(ctx, tx, k, apikey.Hash(secret)); err != nil {
			return err
		}
		return s.record(ctx, tx, k, "created")
	})
	if err != nil {
		return nil, err
	}
	return &authv1.ApiKeyWithSecret{ApiKey: encode(k), Secret: secret}, nil
}

// RotateApiKey implements the RPC.
func (s *Service) RotateApiKey(ctx context.Context, req *authv1.RotateApiKeyRequest) (*authv1.ApiKeyWithSecret, error) { //nolint:revive,staticcheck // the contract's name
	if _, err := s.requireFresh(ctx); err != nil {
		return nil, err
	}
	secret := apikey.New()
	k, err := s.change(ctx, "rotated", func(ctx context.Context, tx postgres.Tx, userID string) (Key, error) {
		return s.deps.Store.rotate(ctx, tx, userID, req.GetId(), apikey.Shown(secret), apikey.Hash(secret))
	})
	if err != nil {
		return nil, err
	}
	return &authv1.ApiKeyWithSecret{ApiKey: encode(k), Secret: secret}, nil
}

// requireFresh returns the caller of what answers a secret, which outlives the
// session: whoever finds a device unlocked must not take one along.
func (s *Service) requireFresh(ctx context.Context) (*identity.Principal, error) {
	return identity.RequireFresh(ctx, s.deps.Store.clock, identity.MaxAuthAge)
}

// DeleteApiKey implements the RPC.
func (s *Service) DeleteApiKey(ctx context.Context, req *authv1.DeleteApiKeyRequest) (*authv1.DeleteApiKeyResponse, error) { //nolint:revive,staticcheck // the contract's name
	_, err := s.change(ctx, "deleted", func(ctx context.Context, tx postgres.Tx, userID string) (Key, error) {
		return s.deps.Store.remove(ctx, tx, userID, req.GetId())
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteApiKeyResponse{}, nil
}

// change ends a key's secret, and what was opened with it.
func (s *Service) change(ctx context.Context, verb string,
	edit func(ctx context.Context, tx postgres.Tx, userID string) (Key, error),
) (k Key, err error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return k, err
	}
	err = s.deps.Store.inTx(ctx, "", caller.UserID, func(ctx context.Context, tx postgres.Tx) error {
		if k, err = edit(ctx, tx, caller.UserID); err != nil {
			return err
		}
		if err := s.deps.Revocations.EndSession(ctx, tx, k.ID); err != nil {
			return err
		}
		// The trail is that of the organization that the key acts in.
		if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: k.OrganizationID, UserID: caller.UserID}); err != nil {
			return err
		}
		return s.record(ctx, tx, k, verb)
	})
	return k, err
}

// DeleteAll ends every key of a user, and what was opened with them, in a
// transaction in the user's scope.
func (s *Service) DeleteAll(ctx context.Context, tx postgres.Tx, userID string) error {
	removed, err := s.deps.Store.removeAll(ctx, tx, userID)
	if err != nil {
		return err
	}
	for _, k := range removed {
		if err := s.deps.Revocations.EndSession(ctx, tx, k.ID); err != nil {
			return err
		}
		if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: k.OrganizationID, UserID: userID}); err != nil {
			return err
		}
		if err := s.record(ctx, tx, k, "deleted"); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, k Key, verb string) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: k.OrganizationID, Action: "auth.api_key." + verb, ResourceType: "api_key", ResourceID: k.ID,
		Changes: map[string]audit.Change{"scopes": {After: k.Scopes}},
	})
}

// Directory implements the RPC by which services find out whose a key is.
type Directory struct {
	authv1.UnsafeApiKeyDirectoryServiceServer

	store *Store
}

// NewDirectory returns the directory.
func NewDirectory(store *Store) *Directory { return &Directory{store: store} }

// ResolveApiKey implements the RPC.
func (d *Directory) ResolveApiKey(ctx context.Context, req *authv1.ResolveApiKeyRequest) (*authv1.ResolveApiKeyResponse, error) { //nolint:revive,staticcheck // the contract's name
	k, err := d.store.Resolve(ctx, [sha256.Size]byte(req.GetSecretHash()))
	if err != nil {
		return nil, err
	}
	return &authv1.ResolveApiKeyResponse{
		Id: k.ID, UserId: k.UserID, OrganizationId: k.OrganizationID, Roles: k.Roles, Permissions: k.Permissions, Scopes: k.Scopes,
	}, nil
}
