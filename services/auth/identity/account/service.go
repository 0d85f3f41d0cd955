package account

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
)

// Service implements the RPCs of the own account.
type Service struct {
	authv1.UnsafeAccountServiceServer

	deps  Deps
	store *store
}

// Sessions ends the sessions of a user.
type Sessions interface {
	// End ends one session of a user, or all of them when sessionID is empty, except
	// the session kept. It runs in a transaction in the user's scope.
	End(ctx context.Context, tx postgres.Tx, userID, sessionID, kept string) (ended int, err error)
}

// Passwords verifies the passwords of accounts.
type Passwords interface {
	// Verify reports whether a hash is that of a password. Too many wrong passwords of
	// an account are RATE_LIMITED.
	Verify(ctx context.Context, account, hash, password string) (right bool, err error)
}

// Mail queues emails.
type Mail interface {
	// Enqueue queues an email in the caller's transaction.
	Enqueue(ctx context.Context, tx postgres.Tx, m mailing.Message) error
}

// Deps is what the room needs.
type Deps struct {
	DB         *postgres.DB
	Users      *user.Store
	Hasher     *user.Hasher
	Passwords  Passwords
	Sessions   Sessions
	Mail       Mail
	Deletion   Deletion
	Authorizer *authz.Authorizer
	Trail      *audit.Trail
	Clock      clock.Clock
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := errors.Join(deps.Check("account", d), deps.Check("account", d.Deletion)); err != nil {
		return nil, err
	}
	return &Service{deps: d, store: newStore(d.DB)}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterAccountServiceServer(server, s)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "users"}}
}

// GetMe implements the RPC.
func (s *Service) GetMe(ctx context.Context, _ *authv1.GetMeRequest) (*authv1.Me, error) {
	p, ok := identity.FromContext(ctx)
	if !ok {
		return nil, identity.Unauthenticated()
	}
	mine, err := s.store.get(ctx, p.UserID)
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) || (err == nil && mine.user.Disabled) {
		return nil, identity.Unauthenticated()
	}
	if err != nil {
		return nil, err
	}
	return s.encode(p, mine), nil
}
