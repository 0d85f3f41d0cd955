// Package auth is the service that manages users, their sessions and credentials, the
// organizations that they belong to, and the keys that sign tokens.
//
// [New] builds the service from its configuration and its database. [Service.Register]
// adds its RPCs to a server. [Service.Run] must run beside the server: it sends emails,
// rotates the signing keys and deletes expired rows. [Service.KeySource] verifies tokens
// in the same process without a network call.
package auth

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/idempotency"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	feed "github.com/gatehouse/gatehouse/platform/revocation"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/services/auth/credential/apikey"
	"github.com/gatehouse/gatehouse/services/auth/credential/factor"
	"github.com/gatehouse/gatehouse/services/auth/credential/session"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
	"github.com/gatehouse/gatehouse/services/auth/token/key"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
)

// Deps is what the service needs.
type Deps struct {
	// DB uses the role of package migrations.
	DB         *postgres.DB
	Clock      clock.Clock
	Log        *slog.Logger
	Authorizer *authz.Authorizer
	// Meter may be nil: then nothing is measured.
	Meter metric.MeterProvider `deps:"optional"`
}

// Service is the auth service.
type Service struct {
	cfg   Config
	clock clock.Clock
	log   *slog.Logger
	rooms room.List
	// answers are the stored answers for Idempotency-Keys of all services. Auth deletes
	// the old ones.
	answers *idempotency.Keys

	ring        *key.Ring
	mail        *mailing.Service
	accounts    *session.Accounts
	users       *user.Store
	factors     *factor.Store
	apiKeys     *apikey.Store
	revocations *revocation.Store
	access      access
	trail       *audit.Trail
}

// New builds the service.
func New(cfg Config, d Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := deps.Check("auth", d); err != nil {
		return nil, err
	}
	return wire(cfg, d)
}

// Register adds the service's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) { s.rooms.Register(server) }

// Tables returns the tables of the service.
func (s *Service) Tables() []room.Table { return s.rooms.Tables() }

// Revocations returns the revocations since a time. It is the feed for auth's own process.
func (s *Service) Revocations(ctx context.Context, since time.Time) ([]feed.Revocation, error) {
	return s.revocations.Since(ctx, since)
}

// APIKey returns the API key with a hash. It is the source of keys for auth's own process.
func (s *Service) APIKey(ctx context.Context, hash [sha256.Size]byte) (keys.Key, error) {
	return s.apiKeys.Resolve(ctx, hash)
}

// KeySource returns the source of the keys that verify tokens. It reads the service's
// database.
func (s *Service) KeySource() identity.KeySource { return s.ring }

// MailHealthy reports whether emails are being sent.
func (s *Service) MailHealthy() bool { return s.mail.Healthy() }

// RotateKeys creates the signing keys that are due. On an empty database it creates the
// first key and its successor. Run does this too; a call before the server starts makes a
// key available to the first sign-in.
func (s *Service) RotateKeys(ctx context.Context) error { return s.ring.Rotate(ctx) }

// EnsureOperator creates the account of the configured operator when the installation has
// no operator, and reports whether it did. It does nothing when none is configured.
func (s *Service) EnsureOperator(ctx context.Context) (created bool, err error) {
	if s.cfg.AdminEmail == "" {
		return false, nil
	}
	return s.accounts.EnsureOperator(ctx, s.cfg.AdminEmail, s.cfg.AdminPassword)
}

// Run sends emails, rotates the signing keys and deletes expired rows until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.rooms.Run(groupCtx) })
	group.Go(func() error {
		s.maintain(groupCtx)
		return nil
	})
	return group.Wait()
}
