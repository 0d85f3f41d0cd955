package sample

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

// Service implements the RPCs of samples.
type Service struct {
	templatev1.UnsafeSampleServiceServer

	deps   Deps
	store  store
	writer *entity.Writer[Sample]
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("sample", d); err != nil {
		return nil, err
	}
	store := newStore(d.DB, d.Tokens)
	writer, err := entity.NewWriter(kind, entity.WriterDeps[Sample]{Rows: store, Trail: d.Trail, Clock: d.Clock})
	if err != nil {
		return nil, err
	}
	return &Service{deps: d, store: store, writer: writer}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	templatev1.RegisterSampleServiceServer(server, s)
}

// Tables returns the tables of the room.
func (s *Service) Tables() []room.Table { return []room.Table{{Name: "samples", Batch: 500}} }

// CreateSample implements the RPC.
func (s *Service) CreateSample(ctx context.Context, req *templatev1.CreateSampleRequest) (*templatev1.Sample, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	created := decode(req.GetSample())
	if err := created.Validate(); err != nil {
		return nil, err
	}
	created, err = s.writer.Create(ctx, caller.OrganizationID, created)
	return entity.Reply(encode, created, err)
}

// GetSample implements the RPC.
func (s *Service) GetSample(ctx context.Context, req *templatev1.GetSampleRequest) (*templatev1.Sample, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.store.Get(ctx, caller.OrganizationID, req.GetId())
	return entity.Reply(encode, found, err)
}

// ListSamples implements the RPC.
func (s *Service) ListSamples(ctx context.Context, req *templatev1.ListSamplesRequest) (*templatev1.ListSamplesResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.store.Page(ctx, caller.OrganizationID, paging.From(req), "")
	if err != nil {
		return nil, err
	}
	out := &templatev1.ListSamplesResponse{NextPageToken: next}
	for _, item := range items {
		out.Samples = append(out.Samples, encode(item))
	}
	return out, nil
}

// UpdateSample implements the RPC.
func (s *Service) UpdateSample(ctx context.Context, req *templatev1.UpdateSampleRequest) (*templatev1.Sample, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	patch := decode(req.GetSample())
	mask := kind.Fields.Mask(patch, req.GetUpdateMask().GetPaths())
	updated, err := s.writer.Change(ctx, caller.OrganizationID, entity.Change[Sample]{
		ID: patch.ID, Etag: rpcserver.Etag(ctx, req.GetSample().GetEtag()), Verb: "updated",
		Edit: func(_ context.Context, _ postgres.Tx, before Sample) (Sample, error) {
			return before.Apply(patch, mask)
		},
	})
	return entity.Reply(encode, updated, err)
}

// DeleteSample implements the RPC.
func (s *Service) DeleteSample(ctx context.Context, req *templatev1.DeleteSampleRequest) (*templatev1.DeleteSampleResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	err = s.writer.Delete(ctx, caller.OrganizationID, entity.Removal[Sample]{
		ID: req.GetId(), Etag: rpcserver.Etag(ctx, req.GetEtag()),
	})
	if err != nil {
		return nil, err
	}
	return &templatev1.DeleteSampleResponse{}, nil
}
