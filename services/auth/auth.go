// Package auth is the service that knows who people are: their accounts and
// sessions, the organizations they belong to, and the keys that sign what the
// other services verify.
//
// [New] builds the service from its configuration and its database, and
// [Service.Register] puts its RPCs on a server. [Service.Run] must run beside
// the server, as it makes the signing keys and their successors and removes what expired;
// [Service.KeySource] verifies tokens in the same process without a network.
package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/idempotency"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/notify"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	feed "github.com/gatehouse/gatehouse/platform/revocation"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/config"
	"github.com/gatehouse/gatehouse/services/auth/credential/apikey"
	"github.com/gatehouse/gatehouse/services/auth/credential/factor"
	"github.com/gatehouse/gatehouse/services/auth/credential/publishablekey"
	"github.com/gatehouse/gatehouse/services/auth/credential/session"
	"github.com/gatehouse/gatehouse/services/auth/credential/usersession"
	"github.com/gatehouse/gatehouse/services/auth/erasure"
	"github.com/gatehouse/gatehouse/services/auth/federation"
	"github.com/gatehouse/gatehouse/services/auth/identity/account"
	"github.com/gatehouse/gatehouse/services/auth/identity/email"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/identity/useradmin"
	"github.com/gatehouse/gatehouse/services/auth/identity/userdirectory"
	"github.com/gatehouse/gatehouse/services/auth/oauth/grant"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauth"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauthclient"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/invitation"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/role"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/serviceaccount"
	"github.com/gatehouse/gatehouse/services/auth/token/key"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
	"github.com/gatehouse/gatehouse/services/auth/token/servicetoken"
)

// Config is what an installation sets.
type Config struct {
	// Issuer is the issuer of every token: the public URL.
	Issuer string
	// SecretKey is the installation's secret of 32 bytes.
	SecretKey []byte
	// AdminEmail and AdminPassword are the first operator's, for
	// EnsureOperator; both or neither.
	AdminEmail, AdminPassword string
	// RateLimits says whether wrong passwords are bounded, and letters to an address.
	RateLimits bool
	// VerifiedEmail says whether an address must be confirmed before there is an
	// account.
	VerifiedEmail bool
	// InvitationsPerDay is how many invitations an organization may send on a day. It
	// applies when RateLimits is set.
	InvitationsPerDay int
	// PasswordWait is how long a password waits for its turn to be hashed.
	PasswordWait time.Duration
	// SignUpClosed says whether only whoever was invited may sign up.
	SignUpClosed bool
	// Messages is how mail and texts leave.
	Messages notify.Config
	// UploadBytes and BodyBytes are what clients may send, a file and a request; and
	// Version is the server's. Clients are told them.
	UploadBytes, BodyBytes int64
	Version                string
	// Providers are the identity providers by which anybody may sign in.
	Providers []federation.Provider
	// Redirects are where programs may have providers send their users back to.
	Redirects []string
	// EgressAllow is what the issuers of organizations may be on beside the public
	// internet.
	EgressAllow []netip.Prefix
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var problems []error
	if c.Issuer == "" {
		problems = append(problems, errors.New("auth: the issuer is required"))
	}
	if len(c.SecretKey) != 32 {
		problems = append(problems, errors.New("auth: the secret key must have 32 bytes"))
	}
	if c.PasswordWait <= 0 {
		problems = append(problems, errors.New("auth: passwords need some time to wait for their turn"))
	}
	if c.RateLimits && c.InvitationsPerDay < 1 {
		problems = append(problems, errors.New("auth: an organization sends at least one invitation a day"))
	}
	if (c.AdminEmail == "") != (c.AdminPassword == "") {
		problems = append(problems, errors.New("auth: the first operator needs both an address and a password"))
	}
	if c.AdminPassword != "" {
		if err := user.CheckPassword(c.AdminPassword, c.AdminEmail); err != nil {
			problems = append(problems, fmt.Errorf("auth: the first operator's password: %w", err))
		}
	}
	return errors.Join(append(problems, federation.Check(c.Providers, c.Redirects))...)
}

// Deps is what the service needs; all of it.
type Deps struct {
	// DB is opened with the role of package migrations.
	DB         *postgres.DB
	Clock      clock.Clock
	Log        *slog.Logger
	Authorizer *authz.Authorizer
	// Meter may be nil: then nothing is measured.
	Meter metric.MeterProvider
}

// Service is the auth service.
type Service struct {
	cfg   Config
	clock clock.Clock
	log   *slog.Logger
	ring  *key.Ring
	// answers are those of every service: one of them has to remove the old ones.
	answers *idempotency.Keys

	accountMaker    *session.Accounts
	sessions        *session.Service
	factors         *factor.Service
	factorStore     *factor.Store
	passkeys        *factor.Passkeys
	organizations   *organization.Service
	roles           *role.Service
	serviceAccounts *serviceaccount.Service
	publishableKeys *publishablekey.Service
	publishable     *publishablekey.Directory
	directory       *userdirectory.Service
	accounts        *account.Service
	keys            *key.Service
	users           *user.Store
	trail           *audit.Trail
	serviceTokens   *servicetoken.Service
	revoked         *revocation.Store
	revocations     *revocation.Service
	userSessions    *usersession.Service
	keyStore        *apikey.Store
	apiKeys         *apikey.Service
	mail            mail
	emails          *email.Service
	invitations     *invitation.Service
	config          *config.Service
	userAdmin       *useradmin.Service
	erasures        *erasure.Service
	oauthClients    *oauthclient.Service
	grants          *grant.Service
	oauth           *oauth.Service
	federation      *federation.Service
}

// New builds the service.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.DB == nil || deps.Clock == nil || deps.Log == nil || deps.Authorizer == nil {
		return nil, errors.New("auth: every dependency is required")
	}
	tokens, err := paging.NewTokens(cfg.SecretKey)
	if err != nil {
		return nil, err
	}
	sealer, err := key.NewSealer(cfg.SecretKey)
	if err != nil {
		return nil, err
	}
	answers, err := idempotency.New(deps.DB, cfg.SecretKey, deps.Clock)
	if err != nil {
		return nil, err
	}
	s := &Service{
		cfg: cfg, clock: deps.Clock, log: deps.Log, ring: key.NewRing(key.NewStore(deps.DB), sealer, deps.Clock),
		answers: answers,
	}
	if err := s.wire(deps, tokens); err != nil {
		return nil, err
	}
	s.config = s.openConfig()
	return s, nil
}

// Register puts the service's RPCs on a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterSessionServiceServer(server, s.sessions)
	authv1.RegisterProviderServiceServer(server, s.federation)
	authv1.RegisterIdentityServiceServer(server, s.federation)
	authv1.RegisterIdentityProviderServiceServer(server, s.federation)
	authv1.RegisterFactorServiceServer(server, s.factors)
	authv1.RegisterPasskeyServiceServer(server, s.passkeys)
	authv1.RegisterOrganizationServiceServer(server, s.organizations)
	authv1.RegisterRoleServiceServer(server, s.roles)
	authv1.RegisterServiceAccountServiceServer(server, s.serviceAccounts)
	authv1.RegisterPublishableKeyServiceServer(server, s.publishableKeys)
	authv1.RegisterPublishableKeyDirectoryServiceServer(server, s.publishable)
	authv1.RegisterUserDirectoryServiceServer(server, s.directory)
	authv1.RegisterAccountServiceServer(server, s.accounts)
	authv1.RegisterKeyServiceServer(server, s.keys)
	authv1.RegisterConfigServiceServer(server, s.config)
	authv1.RegisterUserServiceServer(server, s.userAdmin)
	authv1.RegisterErasureServiceServer(server, s.erasures)
	authv1.RegisterServiceTokenServiceServer(server, s.serviceTokens)
	authv1.RegisterRevocationServiceServer(server, s.revocations)
	authv1.RegisterUserSessionServiceServer(server, s.userSessions)
	authv1.RegisterApiKeyServiceServer(server, s.apiKeys)
	authv1.RegisterEmailServiceServer(server, s.emails)
	authv1.RegisterInvitationServiceServer(server, s.invitations)
	authv1.RegisterOAuthClientServiceServer(server, s.oauthClients)
	authv1.RegisterGrantServiceServer(server, s.grants)
	authv1.RegisterOAuthServiceServer(server, s.oauth)
	authv1.RegisterOutboxServiceServer(server, s.mail.outbox)
	authv1.RegisterApiKeyDirectoryServiceServer(server, apikey.NewDirectory(s.keyStore))
}

// Revocations lists what was revoked since a time: the feed of auth's own
// process.
func (s *Service) Revocations(ctx context.Context, since time.Time) ([]feed.Revocation, error) {
	return s.revoked.Since(ctx, since)
}

// APIKey answers whose an API key is: the source of auth's own process.
func (s *Service) APIKey(ctx context.Context, hash [sha256.Size]byte) (keys.Key, error) {
	return s.keyStore.Resolve(ctx, hash)
}

// KeySource answers the keys that verify tokens, from the service's database.
func (s *Service) KeySource() identity.KeySource { return s.ring }

// RotateKeys makes the signing keys that are due: on an empty database the first
// one and its successor. Run does it too; calling it before the server opens
// lets the first sign-in find a key.
func (s *Service) RotateKeys(ctx context.Context) error { return s.ring.Rotate(ctx) }

// EnsureOperator makes the configured operator's account when the installation
// has none, and tells whether it did. It does nothing when none is configured.
func (s *Service) EnsureOperator(ctx context.Context) (created bool, err error) {
	if s.cfg.AdminEmail == "" {
		return false, nil
	}
	return s.accountMaker.EnsureOperator(ctx, s.cfg.AdminEmail, s.cfg.AdminPassword)
}

// Run delivers letters, rotates the signing keys and removes what is over, until
// ctx ends.
func (s *Service) Run(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.mail.run(groupCtx) })
	group.Go(func() error {
		s.maintain(groupCtx)
		return nil
	})
	return group.Wait()
}
