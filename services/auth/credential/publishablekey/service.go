package publishablekey

import (
	"context"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Deps is what the room needs; all of it.
type Deps struct {
	Store *Store
	Trail *audit.Trail
	Clock clock.Clock
}

// Service implements the RPCs of publishable keys.
type Service struct {
	authv1.UnsafePublishableKeyServiceServer
	authv1.UnsafePublishableKeyDirectoryServiceServer

	deps Deps
}

// New returns the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("publishablekey", d); err != nil {
		return nil, err
	}
	return &Service{deps: d}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterPublishableKeyServiceServer(server, s)
	authv1.RegisterPublishableKeyDirectoryServiceServer(server, s)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "publishable_keys"}}
}

// ListPublishableKeys implements the RPC.
func (s *Service) ListPublishableKeys(ctx context.Context, req *authv1.ListPublishableKeysRequest) (*authv1.ListPublishableKeysResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.deps.Store.list(ctx, caller.OrganizationID, paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListPublishableKeysResponse{NextPageToken: next}
	for _, k := range items {
		out.PublishableKeys = append(out.PublishableKeys, encode(k))
	}
	return out, nil
}

// GetPublishableKey implements the RPC.
func (s *Service) GetPublishableKey(ctx context.Context, req *authv1.GetPublishableKeyRequest) (*authv1.PublishableKey, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.deps.Store.get(ctx, caller.OrganizationID, req.GetId()))
}

// CreatePublishableKey implements the RPC.
func (s *Service) CreatePublishableKey(ctx context.Context, req *authv1.CreatePublishableKeyRequest) (*authv1.PublishableKey, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	k, now := decode(req.GetPublishableKey()), clock.Stamp(s.deps.Clock)
	if err := k.Validate(); err != nil {
		return nil, err
	}
	k.OrganizationID, k.ID, k.Key = caller.OrganizationID, id.New(), apikey.NewPublishable()
	k.Revision, k.CreateTime, k.UpdateTime = 1, now, now
	err = s.deps.Store.inTx(ctx, k.OrganizationID, func(ctx context.Context, tx postgres.Tx) error {
		n, err := s.deps.Store.count(ctx, tx, k.OrganizationID)
		if err != nil {
			return err
		}
		if n >= maxPerOrganization {
			return fault.New(faultv1.Reason_REASON_CONFLICT, "the organization has %d publishable keys: delete one first", n)
		}
		if err := s.deps.Store.insert(ctx, tx, k); err != nil {
			return err
		}
		return s.record(ctx, tx, k, "created", fields.Changes(Key{}, k))
	})
	return reply(k, err)
}

// UpdatePublishableKey implements the RPC.
func (s *Service) UpdatePublishableKey(ctx context.Context, req *authv1.UpdatePublishableKeyRequest) (*authv1.PublishableKey, error) {
	patch := decode(req.GetPublishableKey())
	mask := fields.Mask(patch, req.GetUpdateMask().GetPaths())
	var after Key
	err := s.locked(ctx, patch.ID, req.GetPublishableKey().GetEtag(), func(ctx context.Context, tx postgres.Tx, before Key) (err error) {
		if after, err = before.Apply(patch, mask); err != nil {
			return err
		}
		after.Revision, after.UpdateTime = before.Revision+1, clock.Stamp(s.deps.Clock)
		if err := s.deps.Store.save(ctx, tx, after); err != nil {
			return err
		}
		return s.record(ctx, tx, after, "updated", fields.Changes(before, after))
	})
	return reply(after, err)
}

// DeletePublishableKey implements the RPC.
func (s *Service) DeletePublishableKey(ctx context.Context, req *authv1.DeletePublishableKeyRequest) (*authv1.DeletePublishableKeyResponse, error) {
	err := s.locked(ctx, req.GetId(), req.GetEtag(), func(ctx context.Context, tx postgres.Tx, k Key) error {
		if err := s.deps.Store.remove(ctx, tx, k); err != nil {
			return err
		}
		return s.record(ctx, tx, k, "deleted", fields.Changes(k, Key{}))
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeletePublishableKeyResponse{}, nil
}

// locked runs fn on a key that nobody else can change meanwhile, in the state that
// the caller builds on.
func (s *Service) locked(ctx context.Context, keyID, etag string, fn func(ctx context.Context, tx postgres.Tx, k Key) error) error {
	caller, err := identity.Require(ctx)
	if err != nil {
		return err
	}
	return s.deps.Store.inTx(ctx, caller.OrganizationID, func(ctx context.Context, tx postgres.Tx) error {
		k, err := s.deps.Store.getForUpdate(ctx, tx, caller.OrganizationID, keyID)
		if err != nil {
			return err
		}
		if err := fault.CheckEtag(kind, rpcserver.Etag(ctx, etag), k.Etag()); err != nil {
			return err
		}
		return fn(ctx, tx, k)
	})
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, k Key, verb string, changes map[string]audit.Change) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: k.OrganizationID, Action: "auth.publishable_key." + verb, ResourceType: resourceType, ResourceID: k.ID, Changes: changes,
	})
}

// ResolvePublishableKey implements the RPC.
func (s *Service) ResolvePublishableKey(ctx context.Context, req *authv1.ResolvePublishableKeyRequest) (*authv1.ResolvePublishableKeyResponse, error) {
	found, err := s.deps.Store.resolve(ctx, req.GetKey(), req.GetOrigin())
	if err != nil {
		return nil, err
	}
	return &authv1.ResolvePublishableKeyResponse{Id: found.ID, OrganizationId: found.OrganizationID}, nil
}
