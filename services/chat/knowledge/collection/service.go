package collection

import (
	"context"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

// Deps is what the room needs.
type Deps struct {
	DB     *postgres.DB
	Tokens *paging.Tokens
	Trail  *audit.Trail
	Rights Rights
	Clock  clock.Clock
}

// Service implements the RPCs of collections, and the RPC with which other services check
// collections.
type Service struct {
	knowledgev1.UnsafeCollectionServiceServer
	knowledgev1.UnsafeCollectionDirectoryServiceServer

	deps   Deps
	store  store
	writer *entity.Writer[Collection]
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("collection", d); err != nil {
		return nil, err
	}
	store := newStore(d.DB, d.Tokens)
	writer, err := entity.NewWriter(kind, entity.WriterDeps[Collection]{Rows: store, Trail: d.Trail, Clock: d.Clock})
	if err != nil {
		return nil, err
	}
	return &Service{deps: d, store: store, writer: writer}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	knowledgev1.RegisterCollectionServiceServer(server, s)
	knowledgev1.RegisterCollectionDirectoryServiceServer(server, s)
}

// Tables returns the tables of the room.
func (s *Service) Tables() []room.Table { return []room.Table{{Name: "collections", Batch: 500}} }

// CreateCollection implements the RPC.
func (s *Service) CreateCollection(ctx context.Context, req *knowledgev1.CreateCollectionRequest) (*knowledgev1.Collection, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	c := decode(req.GetCollection())
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c, err = s.writer.Create(ctx, caller.OrganizationID, c)
	return entity.Reply(encode, c, err)
}

// GetCollection implements the RPC.
func (s *Service) GetCollection(ctx context.Context, req *knowledgev1.GetCollectionRequest) (*knowledgev1.Collection, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.store.Get(ctx, caller.OrganizationID, req.GetId())
	return entity.Reply(encode, c, err)
}

// ListCollections implements the RPC.
func (s *Service) ListCollections(ctx context.Context, req *knowledgev1.ListCollectionsRequest) (*knowledgev1.ListCollectionsResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.store.Page(ctx, caller.OrganizationID, paging.From(req), "")
	if err != nil {
		return nil, err
	}
	out := &knowledgev1.ListCollectionsResponse{NextPageToken: next}
	for _, c := range items {
		out.Collections = append(out.Collections, encode(c))
	}
	return out, nil
}

// UpdateCollection implements the RPC.
func (s *Service) UpdateCollection(ctx context.Context, req *knowledgev1.UpdateCollectionRequest) (*knowledgev1.Collection, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	patch := decode(req.GetCollection())
	mask := kind.Fields.Mask(patch, req.GetUpdateMask().GetPaths())
	c, err := s.writer.Change(ctx, caller.OrganizationID, entity.Change[Collection]{
		ID: patch.ID, Etag: rpcserver.Etag(ctx, req.GetCollection().GetEtag()), Verb: "updated",
		Edit: func(_ context.Context, _ postgres.Tx, before Collection) (Collection, error) {
			return before.Apply(patch, mask)
		},
	})
	return entity.Reply(encode, c, err)
}

// DeleteCollection implements the RPC.
func (s *Service) DeleteCollection(ctx context.Context, req *knowledgev1.DeleteCollectionRequest) (*knowledgev1.DeleteCollectionResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	err = s.writer.Delete(ctx, caller.OrganizationID, entity.Removal[Collection]{
		ID: req.GetId(), Etag: rpcserver.Etag(ctx, req.GetEtag()),
		Before: func(ctx context.Context, tx postgres.Tx, c Collection) (map[string]audit.Change, error) {
			documents, err := s.store.countDocuments(ctx, tx, c)
			if err != nil {
				return nil, err
			}
			return nil, CheckDelete(documents, req.GetForce())
		},
	})
	if err != nil {
		return nil, err
	}
	return &knowledgev1.DeleteCollectionResponse{}, nil
}
