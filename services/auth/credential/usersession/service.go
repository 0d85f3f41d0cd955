package usersession

import (
	"context"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
)

// Deps is what the room needs.
type Deps struct {
	DB          *postgres.DB
	Tokens      *paging.Tokens
	Revocations *revocation.Store
	Trail       *audit.Trail
	Clock       clock.Clock
}

// Service implements the RPCs of the user's sessions.
type Service struct {
	authv1.UnsafeUserSessionServiceServer

	deps  Deps
	store *store
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("usersession", d); err != nil {
		return nil, err
	}
	return &Service{deps: d, store: newStore(d.DB, d.Tokens)}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterUserSessionServiceServer(server, s)
}

// Tables returns no table: the room owns none.
func (s *Service) Tables() []room.Table { return nil }

// ListUserSessions implements the RPC.
func (s *Service) ListUserSessions(ctx context.Context, req *authv1.ListUserSessionsRequest) (*authv1.ListUserSessionsResponse, error) {
	caller, err := identity.RequireSelf(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.store.list(ctx, caller.UserID, paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListUserSessionsResponse{NextPageToken: next}
	for _, item := range items {
		out.Sessions = append(out.Sessions, encode(item, caller.SessionID))
	}
	return out, nil
}

// DeleteUserSession implements the RPC.
func (s *Service) DeleteUserSession(ctx context.Context, req *authv1.DeleteUserSessionRequest) (*authv1.DeleteUserSessionResponse, error) {
	caller, err := identity.RequireSelf(ctx)
	if err != nil {
		return nil, err
	}
	ended, err := s.end(ctx, caller.UserID, req.GetId(), "")
	if err != nil {
		return nil, err
	}
	if ended == 0 {
		return nil, fault.NotFound("session")
	}
	return &authv1.DeleteUserSessionResponse{}, nil
}

// EndUserSessions implements the RPC.
func (s *Service) EndUserSessions(ctx context.Context, req *authv1.EndUserSessionsRequest) (*authv1.EndUserSessionsResponse, error) {
	caller, err := identity.RequireSelf(ctx)
	if err != nil {
		return nil, err
	}
	kept := ""
	if req.GetKeepCurrent() {
		kept = caller.SessionID
	}
	ended, err := s.end(ctx, caller.UserID, "", kept)
	if err != nil {
		return nil, err
	}
	return &authv1.EndUserSessionsResponse{Ended: int32(ended)}, nil //nolint:gosec // far fewer
}

func (s *Service) end(ctx context.Context, userID, sessionID, kept string) (count int, err error) {
	err = s.store.inTx(ctx, userID, func(ctx context.Context, tx postgres.Tx) error {
		count, err = s.End(ctx, tx, userID, sessionID, kept)
		return err
	})
	return count, err
}

// End ends one session of a user, or all of them when sessionID is empty, except the
// session kept. It runs in a transaction in the user's scope. The refresh tokens are no
// longer valid at once, the access tokens within seconds. It returns how many sessions
// it ended, and runs few statements however many those are.
func (s *Service) End(ctx context.Context, tx postgres.Tx, userID, sessionID, kept string) (count int, err error) {
	groups, err := s.store.end(ctx, tx, userID, sessionID, kept, s.deps.Clock.Now())
	if err != nil {
		return 0, err
	}
	for _, g := range groups {
		if err := s.deps.Revocations.RevokeSessions(ctx, tx, g.SessionIDs); err != nil {
			return 0, err
		}
		if err := s.record(ctx, tx, userID, g); err != nil {
			return 0, err
		}
		count += len(g.SessionIDs)
	}
	return count, nil
}

// record writes the audit rows of the organization in which the sessions acted.
func (s *Service) record(ctx context.Context, tx postgres.Tx, userID string, g group) error {
	if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: g.OrganizationID, UserID: userID}); err != nil {
		return err
	}
	return s.deps.Trail.AppendEach(ctx, tx, audit.Event{
		OrganizationID: g.OrganizationID, Action: "auth.session.revoked", ResourceType: "session",
	}, g.SessionIDs)
}
