package assistant

import (
	"context"
	"errors"
	"slices"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

// Deps is what the room needs; all of it.
type Deps struct {
	Store       *Store
	Collections Collections
	Trail       *audit.Trail
	Clock       clock.Clock
}

// Service implements the RPCs of assistants.
type Service struct {
	managementv1.UnsafeAssistantServiceServer

	store       *Store
	collections Collections
	trail       *audit.Trail
	clock       clock.Clock
}

// NewService returns the service.
func NewService(deps Deps) (*Service, error) {
	if deps.Store == nil || deps.Collections == nil || deps.Trail == nil || deps.Clock == nil {
		return nil, errors.New("assistant: every dependency is required")
	}
	return &Service{store: deps.Store, collections: deps.Collections, trail: deps.Trail, clock: deps.Clock}, nil
}

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
	now := clock.Stamp(s.clock)
	a.OrganizationID, a.ID, a.Revision, a.CreateTime, a.UpdateTime = caller.OrganizationID, id.New(), 1, now, now
	err = s.store.InTx(ctx, a.OrganizationID, func(ctx context.Context, tx postgres.Tx) error {
		if err := s.store.Insert(ctx, tx, a); err != nil {
			return err
		}
		return s.record(ctx, tx, a, "created", nil)
	})
	return reply(a, err)
}

// GetAssistant implements the RPC.
func (s *Service) GetAssistant(ctx context.Context, req *managementv1.GetAssistantRequest) (*managementv1.Assistant, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.store.Get(ctx, caller.OrganizationID, req.GetId()))
}

// ListAssistants implements the RPC.
func (s *Service) ListAssistants(ctx context.Context, req *managementv1.ListAssistantsRequest) (*managementv1.ListAssistantsResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.store.List(ctx, caller.OrganizationID, req.GetShowDeleted(), paging.From(req))
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
	mask := fields.Mask(patch, req.GetUpdateMask().GetPaths())
	// Before the transaction, which must not wait for another service.
	if slices.Contains(mask, "collection_ids") {
		if err := s.checkAdded(ctx, patch); err != nil {
			return nil, err
		}
	}
	return s.change(ctx, patch.ID, rpcserver.Etag(ctx, req.GetAssistant().GetEtag()), "updated",
		func(before Assistant) (Assistant, error) {
			if before.DeleteTime != nil {
				return before, fault.NotFound(resourceType)
			}
			return before.Apply(patch, mask)
		})
}

// DeleteAssistant implements the RPC.
func (s *Service) DeleteAssistant(ctx context.Context, req *managementv1.DeleteAssistantRequest) (*managementv1.DeleteAssistantResponse, error) {
	_, err := s.change(ctx, req.GetId(), rpcserver.Etag(ctx, req.GetEtag()), "deleted",
		func(before Assistant) (Assistant, error) {
			if before.DeleteTime != nil {
				return before, fault.NotFound(resourceType)
			}
			now := clock.Stamp(s.clock)
			before.DeleteTime = &now
			return before, nil
		})
	if err != nil {
		return nil, err
	}
	return &managementv1.DeleteAssistantResponse{}, nil
}

// UndeleteAssistant implements the RPC.
func (s *Service) UndeleteAssistant(ctx context.Context, req *managementv1.UndeleteAssistantRequest) (*managementv1.Assistant, error) {
	return s.change(ctx, req.GetId(), "", "restored",
		func(before Assistant) (Assistant, error) {
			if err := before.CheckRestore(s.clock.Now()); err != nil {
				return before, err
			}
			before.DeleteTime = nil
			return before, nil
		})
}

// change reads an assistant, changes it and writes it back with its audit row,
// in one transaction.
func (s *Service) change(ctx context.Context, assistantID, etag, verb string,
	edit func(Assistant) (Assistant, error),
) (*managementv1.Assistant, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	var after Assistant
	err = s.store.InTx(ctx, caller.OrganizationID, func(ctx context.Context, tx postgres.Tx) error {
		before, err := s.store.GetForUpdate(ctx, tx, caller.OrganizationID, assistantID)
		if err != nil {
			return err
		}
		if after, err = edit(before); err != nil {
			return err
		}
		// Checked after the edit, which refuses what is deleted: an absent
		// resource has no etag to be stale.
		if err := fault.CheckEtag(resourceType, etag, before.Etag()); err != nil {
			return err
		}
		after.Revision, after.UpdateTime = before.Revision+1, clock.Stamp(s.clock)
		if err := s.store.Save(ctx, tx, after); err != nil {
			return err
		}
		return s.record(ctx, tx, after, verb, fields.Changes(before, after))
	})
	return reply(after, err)
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, a Assistant, verb string, changes map[string]audit.Change) error {
	return s.trail.Append(ctx, tx, audit.Event{
		OrganizationID: a.OrganizationID,
		Action:         "management." + resourceType + "." + verb,
		ResourceType:   resourceType,
		ResourceID:     a.ID,
		Changes:        changes,
	})
}
