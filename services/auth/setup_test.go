package auth_test

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

const password = "correct horse battery"

// bundle is the service on a database of its own, behind the real server and
// the generated clients.
type bundle struct {
	database *pgtest.Database
	db       *postgres.DB
	// statements holds those that the service makes within a span.
	statements      *tracetest.SpanRecorder
	service         *auth.Service
	verifier        *identity.Verifier
	conn            *grpc.ClientConn
	sessions        authv1.SessionServiceClient
	organizations   authv1.OrganizationServiceClient
	roles           authv1.RoleServiceClient
	serviceAccounts authv1.ServiceAccountServiceClient
	publishableKeys authv1.PublishableKeyServiceClient
	accounts        authv1.AccountServiceClient
	factors         authv1.FactorServiceClient
	passkeys        authv1.PasskeyServiceClient
	keys            authv1.KeyServiceClient
	serviceTokens   authv1.ServiceTokenServiceClient
	userSessions    authv1.UserSessionServiceClient
	apiKeys         authv1.ApiKeyServiceClient
	invitations     authv1.InvitationServiceClient
	providers       authv1.ProviderServiceClient
	identities      authv1.IdentityServiceClient
	directory       authv1.IdentityProviderServiceClient
}

func setup(t *testing.T) *bundle {
	t.Helper()
	return setupWith(t, clock.System(), auth.Config{})
}

// setupWith is setup with a clock, and what a test sets of the configuration. The
// server's own verifier goes by the machine's clock.
func setupWith(t *testing.T, clk clock.Clock, cfg auth.Config) *bundle {
	t.Helper()
	b := &bundle{database: pgtest.New(t, migrations.Set()), statements: tracetest.NewSpanRecorder()}
	dbConfig := b.database.Config()
	dbConfig.TracerProvider = trace.NewTracerProvider(trace.WithSpanProcessor(b.statements))
	b.db = pgtest.OpenConfig(t, dbConfig, migrations.Role)
	authorizer, err := authz.New()
	must(t, err)
	if cfg.InvitationsPerDay == 0 {
		cfg.InvitationsPerDay = 100
	}
	cfg.PasswordWait = time.Minute // tests keep the machine busier than users do
	cfg.Issuer, cfg.SecretKey, cfg.AdminEmail, cfg.AdminPassword = rpctest.Issuer, pgtest.SecretKey(), "root@example.org", password
	b.service, err = auth.New(cfg, auth.Deps{DB: b.db, Clock: clk, Log: slog.New(slog.DiscardHandler), Authorizer: authorizer})
	must(t, err)
	must(t, b.service.RotateKeys(t.Context()))
	server := rpctest.Serve(t, "auth", b.service.Register, rpctest.Options{Keys: b.service.KeySource()})
	b.verifier, b.conn = server.Verifier, server.Conn
	b.sessions, b.organizations = authv1.NewSessionServiceClient(b.conn), authv1.NewOrganizationServiceClient(b.conn)
	b.roles, b.serviceAccounts = authv1.NewRoleServiceClient(b.conn), authv1.NewServiceAccountServiceClient(b.conn)
	b.publishableKeys = authv1.NewPublishableKeyServiceClient(b.conn)
	b.accounts, b.keys = authv1.NewAccountServiceClient(b.conn), authv1.NewKeyServiceClient(b.conn)
	b.factors, b.passkeys = authv1.NewFactorServiceClient(b.conn), authv1.NewPasskeyServiceClient(b.conn)
	b.serviceTokens = authv1.NewServiceTokenServiceClient(b.conn)
	b.userSessions = authv1.NewUserSessionServiceClient(b.conn)
	b.apiKeys = authv1.NewApiKeyServiceClient(b.conn)
	b.invitations = authv1.NewInvitationServiceClient(b.conn)
	b.providers, b.identities = authv1.NewProviderServiceClient(b.conn), authv1.NewIdentityServiceClient(b.conn)
	b.directory = authv1.NewIdentityProviderServiceClient(b.conn)
	return b
}

// signUp makes an account, and answers its tokens and its principal.
func (b *bundle) signUp(t *testing.T, email string) (*authv1.TokenResponse, *identity.Principal) {
	t.Helper()
	tokens, err := b.sessions.SignUp(t.Context(), &authv1.SignUpRequest{Email: email, Password: password})
	must(t, err)
	return tokens, b.principal(t, tokens)
}

func (b *bundle) signIn(t *testing.T, email string) *authv1.TokenResponse {
	t.Helper()
	tokens, err := b.sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: email, Password: password})
	must(t, err)
	return tokens
}

func (b *bundle) principal(t *testing.T, tokens *authv1.TokenResponse) *identity.Principal {
	t.Helper()
	p, err := b.verifier.Access(t.Context(), tokens.GetAccessToken())
	must(t, err)
	return p
}

// operator answers the tokens of the first operator.
func (b *bundle) operator(t *testing.T) *authv1.TokenResponse {
	t.Helper()
	_, err := b.service.EnsureOperator(t.Context())
	must(t, err)
	return b.signIn(t, "root@example.org")
}

// with returns a context that calls with an access token.
func with(ctx context.Context, tokens *authv1.TokenResponse) context.Context {
	return rpctest.With(ctx, tokens.GetAccessToken())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantReason(t *testing.T, err error, want faultv1.Reason) {
	t.Helper()
	if !fault.Is(err, want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
