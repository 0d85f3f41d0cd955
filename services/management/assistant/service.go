package assistant

import (
	"context"
	"slices"

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
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

// Deps is what the room needs.
type Deps struct {
	DB          *postgres.DB
	Tokens      *paging.Tokens
	Collections Collections
	Trail       *audit.Trail
	Clock       clock.Clock
}

// Service implements the RPCs of assistants.
type Service struct {
	managementv1.UnsafeAssistantServiceServer

	deps   Deps
	store  store
	writer *entity.Writer[Assistant]
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("assistant", d); err != nil {
		return nil, err
	}
	store := newStore(d.DB, d.Tokens)
	writer, err := entity.NewWriter(kind, entity.WriterDeps[Assistant]{Rows: store, Trail: d.Trail, Clock: d.Clock})
	if err != nil {
		return nil, err
	}
	return &Service{deps: d, store: store, writer: writer}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	managementv1.RegisterAssistantServiceServer(server, s)
	managementv1.RegisterAssistantDirectoryServiceServer(server, &directory{store: s.store})
}

// Tables returns the tables of the room.
func (s *Service) Tables() []room.Table { return []room.Table{{Name: "assistants", Batch: 500}} }

// CreateAssistant implements the RPC.
func (s *Service) CreateAssistant(ctx context.Context, req *managementv1.CreateAssistantRequest) (*managementv1.Assistant, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	a := decode(req.GetAssistant())
	if err := a.Validate(); err != nil {
		return nil, err
	}
	if err := s.checkCollections(ctx, a.CollectionIDs); err != nil {
		return nil, err
	}
	a, err = s.writer.Create(ctx, caller.OrganizationID, a)
	return entity.Reply(encode, a, err)
}

// GetAssistant implements the RPC.
func (s *Service) GetAssistant(ctx context.Context, req *managementv1.GetAssistantRequest) (*managementv1.Assistant, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	a, err := s.store.Get(ctx, caller.OrganizationID, req.GetId())
	return entity.Reply(encode, a, err)
}

// ListAssistants implements the RPC.
func (s *Service) ListAssistants(ctx context.Context, req *managementv1.ListAssistantsRequest) (*managementv1.ListAssistantsResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.store.list(ctx, caller.OrganizationID, req.GetShowDeleted(), paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &managementv1.ListAssistantsResponse{NextPageToken: next}
	for _, a := range items {
		out.Assistants = append(out.Assistants, encode(a))
	}
	return out, nil
}

// UpdateAssistant implements the RPC.
func (s *Service) UpdateAssistant(ctx context.Context, req *managementv1.UpdateAssistantRequest) (*managementv1.Assistant, error) {
	patch := decode(req.GetAssistant())
	mask := kind.Fields.Mask(patch, req.GetUpdateMask().GetPaths())
	// Before the transaction, which must not wait for another service.
	if slices.Contains(mask, "collection_ids") {
		if err := s.checkAdded(ctx, patch); err != nil {
			return nil, err
		}
	}
	return s.change(ctx, entity.Change[Assistant]{
		ID: patch.ID, Etag: rpcserver.Etag(ctx, req.GetAssistant().GetEtag()), Verb: "updated", Check: requireLive,
		Edit: func(_ context.Context, _ postgres.Tx, before Assistant) (Assistant, error) {
			return before.Apply(patch, mask)
		},
	})
}

// DeleteAssistant implements the RPC.
func (s *Service) DeleteAssistant(ctx context.Context, req *managementv1.DeleteAssistantRequest) (*managementv1.DeleteAssistantResponse, error) {
	_, err := s.change(ctx, entity.Change[Assistant]{
		ID: req.GetId(), Etag: rpcserver.Etag(ctx, req.GetEtag()), Verb: "deleted", Check: requireLive,
		Edit: func(_ context.Context, _ postgres.Tx, a Assistant) (Assistant, error) {
			now := clock.Stamp(s.deps.Clock)
			a.DeleteTime = &now
			return a, nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &managementv1.DeleteAssistantResponse{}, nil
}

// UndeleteAssistant implements the RPC.
func (s *Service) UndeleteAssistant(ctx context.Context, req *managementv1.UndeleteAssistantRequest) (*managementv1.Assistant, error) {
	return s.change(ctx, entity.Change[Assistant]{
		ID: req.GetId(), Verb: "restored",
		Check: func(_ context.Context, _ postgres.Tx, a Assistant) error { return a.CheckRestore(s.deps.Clock.Now()) },
		Edit: func(_ context.Context, _ postgres.Tx, a Assistant) (Assistant, error) {
			a.DeleteTime = nil
			return a, nil
		},
	})
}

func (s *Service) change(ctx context.Context, c entity.Change[Assistant]) (*managementv1.Assistant, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	a, err := s.writer.Change(ctx, caller.OrganizationID, c)
	return entity.Reply(encode, a, err)
}
