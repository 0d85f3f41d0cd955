package publishablekey

import (
	"context"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// Deps is what the room needs.
type Deps struct {
	DB     *postgres.DB
	Tokens *paging.Tokens
	Trail  *audit.Trail
	Clock  clock.Clock
}

// Service implements the RPCs of publishable keys.
type Service struct {
	authv1.UnsafePublishableKeyServiceServer
	authv1.UnsafePublishableKeyDirectoryServiceServer

	deps   Deps
	store  store
	writer *entity.Writer[Key]
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("publishablekey", d); err != nil {
		return nil, err
	}
	store := newStore(d.DB, d.Tokens)
	writer, err := entity.NewWriter(kind, entity.WriterDeps[Key]{Rows: store, Trail: d.Trail, Clock: d.Clock})
	if err != nil {
		return nil, err
	}
	return &Service{deps: d, store: store, writer: writer}, nil
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
	items, next, err := s.store.Page(ctx, caller.OrganizationID, paging.From(req), "")
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
	k, err := s.store.Get(ctx, caller.OrganizationID, req.GetId())
	return entity.Reply(encode, k, err)
}

// CreatePublishableKey implements the RPC.
func (s *Service) CreatePublishableKey(ctx context.Context, req *authv1.CreatePublishableKeyRequest) (*authv1.PublishableKey, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	k := decode(req.GetPublishableKey())
	k.Key = apikey.NewPublishable()
	if err := k.Validate(); err != nil {
		return nil, err
	}
	k, err = s.writer.Create(ctx, caller.OrganizationID, k, s.writer.AtMost(maxPerOrganization, s.store.count))
	return entity.Reply(encode, k, err)
}

// UpdatePublishableKey implements the RPC.
func (s *Service) UpdatePublishableKey(ctx context.Context, req *authv1.UpdatePublishableKeyRequest) (*authv1.PublishableKey, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	patch := decode(req.GetPublishableKey())
	mask := kind.Fields.Mask(patch, req.GetUpdateMask().GetPaths())
	k, err := s.writer.Change(ctx, caller.OrganizationID, entity.Change[Key]{
		ID: patch.ID, Etag: rpcserver.Etag(ctx, req.GetPublishableKey().GetEtag()), Verb: "updated",
		Edit: func(_ context.Context, _ postgres.Tx, before Key) (Key, error) { return before.Apply(patch, mask) },
	})
	return entity.Reply(encode, k, err)
}

// DeletePublishableKey implements the RPC.
func (s *Service) DeletePublishableKey(ctx context.Context, req *authv1.DeletePublishableKeyRequest) (*authv1.DeletePublishableKeyResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	err = s.writer.Delete(ctx, caller.OrganizationID, entity.Removal[Key]{ID: req.GetId(), Etag: rpcserver.Etag(ctx, req.GetEtag())})
	if err != nil {
		return nil, err
	}
	return &authv1.DeletePublishableKeyResponse{}, nil
}

// ResolvePublishableKey implements the RPC.
func (s *Service) ResolvePublishableKey(ctx context.Context, req *authv1.ResolvePublishableKeyRequest) (*authv1.ResolvePublishableKeyResponse, error) {
	found, err := s.store.resolve(ctx, req.GetKey(), req.GetOrigin())
	if err != nil {
		return nil, err
	}
	return &authv1.ResolvePublishableKeyResponse{Id: found.ID, OrganizationId: found.OrganizationID}, nil
}
