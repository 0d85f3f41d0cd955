package collection

import (
	"context"
	"errors"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

// Deps is what the room needs; all of it.
type Deps struct {
	DB     *postgres.DB
	Tokens *paging.Tokens
	Trail  *audit.Trail
	Clock  clock.Clock
}

// Service implements the RPCs of collections.
type Service struct {
	knowledgev1.UnsafeCollectionServiceServer

	store *store
	trail *audit.Trail
	clock clock.Clock
}

// New returns the service.
func New(deps Deps) (*Service, error) {
	if deps.DB == nil || deps.Tokens == nil || deps.Trail == nil || deps.Clock == nil {
		return nil, errors.New("collection: every dependency is required")
	}
	return &Service{store: &store{db: deps.DB, tokens: deps.Tokens}, trail: deps.Trail, clock: deps.Clock}, nil
}

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
	now := clock.Stamp(s.clock)
	c.OrganizationID, c.ID, c.Revision, c.CreateTime, c.UpdateTime = caller.OrganizationID, id.New(), 1, now, now
	err = s.store.inTx(ctx, c.OrganizationID, func(ctx context.Context, tx postgres.Tx) error {
		if err := s.store.insert(ctx, tx, c); err != nil {
			return err
		}
		return s.record(ctx, tx, c, "created", nil)
	})
	return reply(c, err)
}

// GetCollection implements the RPC.
func (s *Service) GetCollection(ctx context.Context, req *knowledgev1.GetCollectionRequest) (*knowledgev1.Collection, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.store.get(ctx, caller.OrganizationID, req.GetId()))
}

// ListCollections implements the RPC.
func (s *Service) ListCollections(ctx context.Context, req *knowledgev1.ListCollectionsRequest) (*knowledgev1.ListCollectionsResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.store.list(ctx, caller.OrganizationID, paging.From(req))
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
	patch := decode(req.GetCollection())
	mask := fields.Mask(patch, req.GetUpdateMask().GetPaths())
	var after Collection
	err := s.locked(ctx, patch.ID, req.GetCollection().GetEtag(), func(ctx context.Context, tx postgres.Tx, before Collection) (err error) {
		if after, err = before.Apply(patch, mask); err != nil {
			return err
		}
		after.Revision, after.UpdateTime = before.Revision+1, clock.Stamp(s.clock)
		if err := s.store.save(ctx, tx, after); err != nil {
			return err
		}
		return s.record(ctx, tx, after, "updated", fields.Changes(before, after))
	})
	return reply(after, err)
}

// DeleteCollection implements the RPC.
func (s *Service) DeleteCollection(ctx context.Context, req *knowledgev1.DeleteCollectionRequest) (*knowledgev1.DeleteCollectionResponse, error) {
	err := s.locked(ctx, req.GetId(), req.GetEtag(), func(ctx context.Context, tx postgres.Tx, c Collection) error {
		documents, err := s.store.countDocuments(ctx, tx, c)
		if err != nil {
			return err
		}
		if err := CheckDelete(documents, req.GetForce()); err != nil {
			return err
		}
		if err := s.store.remove(ctx, tx, c); err != nil {
			return err
		}
		return s.record(ctx, tx, c, "deleted", nil)
	})
	if err != nil {
		return nil, err
	}
	return &knowledgev1.DeleteCollectionResponse{}, nil
}

// locked runs fn on a collection that nobody else can change meanwhile, in the
// state that the caller builds on.
func (s *Service) locked(ctx context.Context, collectionID, etag string,
	fn func(ctx context.Context, tx postgres.Tx, c Collection) error,
) error {
	caller, err := identity.Require(ctx)
	if err != nil {
		return err
	}
	return s.store.inTx(ctx, caller.OrganizationID, func(ctx context.Context, tx postgres.Tx) error {
		c, err := s.store.getForUpdate(ctx, tx, caller.OrganizationID, collectionID)
		if err != nil {
			return err
		}
		if err := fault.CheckEtag(resourceType, rpcserver.Etag(ctx, etag), c.Etag()); err != nil {
			return err
		}
		return fn(ctx, tx, c)
	})
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, c Collection, verb string, changes map[string]audit.Change) error {
	return s.trail.Append(ctx, tx, audit.Event{
		OrganizationID: c.OrganizationID,
		Action:         "knowledge." + resourceType + "." + verb,
		ResourceType:   resourceType,
		ResourceID:     c.ID,
		Changes:        changes,
	})
}

func decode(in *knowledgev1.Collection) Collection {
	return Collection{ID: in.GetId(), DisplayName: in.GetDisplayName(), Description: in.GetDescription()}
}

func encode(c Collection) *knowledgev1.Collection {
	return &knowledgev1.Collection{
		Id:            c.ID,
		DisplayName:   c.DisplayName,
		Description:   c.Description,
		DocumentCount: c.DocumentCount,
		ChunkCount:    c.ChunkCount,
		CreateTime:    timestamppb.New(c.CreateTime),
		UpdateTime:    timestamppb.New(c.UpdateTime),
		Etag:          c.Etag(),
	}
}

func reply(c Collection, err error) (*knowledgev1.Collection, error) {
	if err != nil {
		return nil, err
	}
	return encode(c), nil
}
