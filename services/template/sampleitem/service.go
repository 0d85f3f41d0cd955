package sampleitem

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
	templatev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/template/v1"
)

// Deps is what the room needs.
type Deps struct {
	DB     *postgres.DB
	Tokens *paging.Tokens
	Trail  *audit.Trail
	Clock  clock.Clock
}

// Service implements the RPCs of sample items.
type Service struct {
	templatev1.UnsafeSampleItemServiceServer

	deps   Deps
	store  store
	writer *entity.Writer[SampleItem]
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("sampleitem", d); err != nil {
		return nil, err
	}
	store := newStore(d.DB, d.Tokens)
	writer, err := entity.NewWriter(kind, entity.WriterDeps[SampleItem]{Rows: store, Trail: d.Trail, Clock: d.Clock})
	if err != nil {
		return nil, err
	}
	return &Service{deps: d, store: store, writer: writer}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	templatev1.RegisterSampleItemServiceServer(server, s)
}

// Tables returns the tables of the room.
func (s *Service) Tables() []room.Table { return []room.Table{{Name: "sample_items", Batch: 500}} }

// CreateSampleItem implements the RPC.
func (s *Service) CreateSampleItem(ctx context.Context, req *templatev1.CreateSampleItemRequest) (*templatev1.SampleItem, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	created := decode(req.GetSampleItem())
	if err := created.Validate(); err != nil {
		return nil, err
	}
	created, err = s.writer.Create(ctx, caller.OrganizationID, created)
	return entity.Reply(encode, created, err)
}

// GetSampleItem implements the RPC.
func (s *Service) GetSampleItem(ctx context.Context, req *templatev1.GetSampleItemRequest) (*templatev1.SampleItem, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.store.Get(ctx, caller.OrganizationID, req.GetId())
	return entity.Reply(encode, found, err)
}

// ListSampleItems implements the RPC.
func (s *Service) ListSampleItems(ctx context.Context, req *templatev1.ListSampleItemsRequest) (*templatev1.ListSampleItemsResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.store.Page(ctx, caller.OrganizationID, paging.From(req), "")
	if err != nil {
		return nil, err
	}
	out := &templatev1.ListSampleItemsResponse{NextPageToken: next}
	for _, item := range items {
		out.SampleItems = append(out.SampleItems, encode(item))
	}
	return out, nil
}

// UpdateSampleItem implements the RPC.
func (s *Service) UpdateSampleItem(ctx context.Context, req *templatev1.UpdateSampleItemRequest) (*templatev1.SampleItem, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	patch := decode(req.GetSampleItem())
	mask := kind.Fields.Mask(patch, req.GetUpdateMask().GetPaths())
	updated, err := s.writer.Change(ctx, caller.OrganizationID, entity.Change[SampleItem]{
		ID: patch.ID, Etag: rpcserver.Etag(ctx, req.GetSampleItem().GetEtag()), Verb: "updated",
		Edit: func(_ context.Context, _ postgres.Tx, before SampleItem) (SampleItem, error) {
			return before.Apply(patch, mask)
		},
	})
	return entity.Reply(encode, updated, err)
}

// DeleteSampleItem implements the RPC.
func (s *Service) DeleteSampleItem(ctx context.Context, req *templatev1.DeleteSampleItemRequest) (*templatev1.DeleteSampleItemResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	err = s.writer.Delete(ctx, caller.OrganizationID, entity.Removal[SampleItem]{
		ID: req.GetId(), Etag: rpcserver.Etag(ctx, req.GetEtag()),
	})
	if err != nil {
		return nil, err
	}
	return &templatev1.DeleteSampleItemResponse{}, nil
}
