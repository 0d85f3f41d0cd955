// Package authtest starts the auth service for the tests of its rooms, on a database of its
// own, behind the real server and the generated clients.
package authtest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/migrations"
)

// Password is the password of every test account.
const Password = "correct horse battery"

// Bundle is the service on a database of its own, behind the real server and
// the generated clients.
type Bundle struct {
	Database *pgtest.Database
	DB       *postgres.DB
	// Statements has the statements that the service runs within a span.
	Statements        *tracetest.SpanRecorder
	Service           *auth.Service
	Verifier          *identity.Verifier
	Conn              *grpc.ClientConn
	Sessions          authv1.SessionServiceClient
	Organizations     authv1.OrganizationServiceClient
	Roles             authv1.RoleServiceClient
	ServiceAccounts   authv1.ServiceAccountServiceClient
	PublishableKeys   authv1.PublishableKeyServiceClient
	Accounts          authv1.AccountServiceClient
	Factors           authv1.FactorServiceClient
	Passkeys          authv1.PasskeyServiceClient
	Keys              authv1.KeyServiceClient
	ServiceTokens     authv1.ServiceTokenServiceClient
	UserSessions      authv1.UserSessionServiceClient
	APIKeys           authv1.ApiKeyServiceClient
	Invitations       authv1.InvitationServiceClient
	Providers         authv1.ProviderServiceClient
	Identities        authv1.IdentityServiceClient
	IdentityProviders authv1.IdentityProviderServiceClient
}

// Setup starts the service with the system clock and the default configuration.
func Setup(t *testing.T) *Bundle {
	t.Helper()
	return SetupWith(t, clock.System(), auth.Config{})
}

// SetupWith starts the service with a clock and the fields of the configuration that a test
// sets. The verifier of the server uses the system clock.
func SetupWith(t *testing.T, clk clock.Clock, cfg auth.Config) *Bundle {
	t.Helper()
	b := &Bundle{Database: pgtest.New(t, migrations.Set()), Statements: tracetest.NewSpanRecorder()}
	dbConfig := b.Database.Config()
	dbConfig.TracerProvider = trace.NewTracerProvider(trace.WithSpanProcessor(b.Statements))
	b.DB = pgtest.OpenConfig(t, dbConfig, migrations.Role)
	authorizer, err := authz.New()
	Must(t, err)
	if cfg.InvitationsPerDay == 0 {
		cfg.InvitationsPerDay = 100
	}
	cfg.PasswordWait = 20 * time.Second // the most: tests keep the machine busier than users do
	cfg.Issuer, cfg.SecretKey, cfg.AdminEmail, cfg.AdminPassword = rpctest.Issuer, pgtest.SecretKey(), "root@example.org", Password
	b.Service, err = auth.New(cfg, auth.Deps{DB: b.DB, Clock: clk, Log: slog.New(slog.DiscardHandler), Authorizer: authorizer})
	Must(t, err)
	Must(t, b.Service.RotateKeys(t.Context()))
	server := rpctest.Serve(t, "auth", b.Service.Register, rpctest.Options{Keys: b.Service.KeySource()})
	b.Verifier, b.Conn = server.Verifier, server.Conn
	b.Sessions, b.Organizations = authv1.NewSessionServiceClient(b.Conn), authv1.NewOrganizationServiceClient(b.Conn)
	b.Roles, b.ServiceAccounts = authv1.NewRoleServiceClient(b.Conn), authv1.NewServiceAccountServiceClient(b.Conn)
	b.PublishableKeys = authv1.NewPublishableKeyServiceClient(b.Conn)
	b.Accounts, b.Keys = authv1.NewAccountServiceClient(b.Conn), authv1.NewKeyServiceClient(b.Conn)
	b.Factors, b.Passkeys = authv1.NewFactorServiceClient(b.Conn), authv1.NewPasskeyServiceClient(b.Conn)
	b.ServiceTokens = authv1.NewServiceTokenServiceClient(b.Conn)
	b.UserSessions = authv1.NewUserSessionServiceClient(b.Conn)
	b.APIKeys = authv1.NewApiKeyServiceClient(b.Conn)
	b.Invitations = authv1.NewInvitationServiceClient(b.Conn)
	b.Providers, b.Identities = authv1.NewProviderServiceClient(b.Conn), authv1.NewIdentityServiceClient(b.Conn)
	b.IdentityProviders = authv1.NewIdentityProviderServiceClient(b.Conn)
	return b
}

// SignUp creates an account and returns its tokens and its principal.
func (b *Bundle) SignUp(t *testing.T, email string) (*authv1.TokenResponse, *identity.Principal) {
	t.Helper()
	tokens, err := b.Sessions.SignUp(t.Context(), &authv1.SignUpRequest{Email: email, Password: Password})
	Must(t, err)
	return tokens, b.Principal(t, tokens)
}

// SignIn signs in with [Password].
func (b *Bundle) SignIn(t *testing.T, email string) *authv1.TokenResponse {
	t.Helper()
	tokens, err := b.Sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: email, Password: Password})
	Must(t, err)
	return tokens
}

// Principal returns the principal of an access token.
func (b *Bundle) Principal(t *testing.T, tokens *authv1.TokenResponse) *identity.Principal {
	t.Helper()
	p, err := b.Verifier.Access(t.Context(), tokens.GetAccessToken())
	Must(t, err)
	return p
}

// Operator returns tokens of the first operator.
func (b *Bundle) Operator(t *testing.T) *authv1.TokenResponse {
	t.Helper()
	_, err := b.Service.EnsureOperator(t.Context())
	Must(t, err)
	return b.SignIn(t, "root@example.org")
}

// With returns a context whose calls use an access token.
func With(ctx context.Context, tokens *authv1.TokenResponse) context.Context {
	return rpctest.With(ctx, tokens.GetAccessToken())
}

// Must stops the test on an error.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// WantReason fails the test unless an error has a reason.
func WantReason(t *testing.T, err error, want faultv1.Reason) {
	t.Helper()
	if !fault.Is(err, want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
