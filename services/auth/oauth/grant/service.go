package grant

import (
	"context"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
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
	Revocations *revocation.Store
	Trail       *audit.Trail
	Clock       clock.Clock
}

// Service implements the RPCs of grants.
type Service struct {
	authv1.UnsafeGrantServiceServer

	deps Deps
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("grant", d); err != nil {
		return nil, err
	}
	return &Service{deps: d}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterGrantServiceServer(server, s)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "oauth_grants"}}
}

// ListGrants implements the RPC.
func (s *Service) ListGrants(ctx context.Context, req *authv1.ListGrantsRequest) (*authv1.ListGrantsResponse, error) {
	caller, err := identity.RequireSelf(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.deps.Store.list(ctx, caller.UserID, paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListGrantsResponse{NextPageToken: next}
	for _, g := range items {
		out.Grants = append(out.Grants, encode(g))
	}
	return out, nil
}

// DeleteGrant implements the RPC.
func (s *Service) DeleteGrant(ctx context.Context, req *authv1.DeleteGrantRequest) (*authv1.DeleteGrantResponse, error) {
	caller, err := identity.RequireSelf(ctx)
	if err != nil {
		return nil, err
	}
	scope := postgres.Scope{UserID: caller.UserID}
	err = s.deps.Store.db.InTx(ctx, scope, func(ctx context.Context, tx postgres.Tx) error {
		g, sessions, err := s.deps.Store.remove(ctx, tx, caller.UserID, req.GetId(), s.deps.Clock.Now())
		if err != nil {
			return err
		}
		if err := s.deps.Revocations.RevokeSessions(ctx, tx, sessions); err != nil {
			return err
		}
		// The audit row belongs to the organization in which the client acted.
		if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: g.OrganizationID, UserID: caller.UserID}); err != nil {
			return err
		}
		return s.deps.Trail.Append(ctx, tx, audit.Event{
			OrganizationID: g.OrganizationID, Action: "auth.grant.deleted", ResourceType: "grant", ResourceID: g.ID,
			Changes: map[string]audit.Change{"scopes": {Before: g.Scopes}},
		})
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteGrantResponse{}, nil
}
