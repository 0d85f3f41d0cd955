package auth_test

import (
	"context"
	"log/slog"
	"net"
	"testing"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/migrations"
)

const (
	issuer   = "http://gatehouse.test"
	password = "correct horse battery"
)

// bundle is the service on a database of its own, behind the real server and
// the generated clients.
type bundle struct {
	database      *pgtest.Database
	service       *auth.Service
	verifier      *identity.Verifier
	conn          *grpc.ClientConn
	sessions      authv1.SessionServiceClient
	organizations authv1.OrganizationServiceClient
	accounts      authv1.AccountServiceClient
	keys          authv1.KeyServiceClient
	serviceTokens authv1.ServiceTokenServiceClient
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{database: pgtest.New(t, migrations.Set())}
	authorizer, err := authz.New()
	must(t, err)
	log := slog.New(slog.DiscardHandler)
	b.service, err = auth.New(auth.Config{
		Issuer: issuer, SecretKey: pgtest.SecretKey(), AdminEmail: "root@example.org", AdminPassword: password,
	}, auth.Deps{DB: b.database.Open(t, migrations.Role), Clock: clock.System(), Log: log, Authorizer: authorizer})
	must(t, err)
	must(t, b.service.RotateKeys(t.Context()))
	b.verifier, err = identity.NewVerifier(identity.VerifierConfig{Issuer: issuer, Service: "auth"}, b.service.KeySource(), clock.System())
	must(t, err)
	server, err := rpcserver.New(rpcserver.Config{Service: "auth"}, rpcserver.Deps{
		Log: log, Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(),
		Clock: clock.System(), Verifier: b.verifier, Authorizer: authorizer,
	})
	must(t, err)
	b.service.Register(server)
	conn := serve(t, server)
	b.conn = conn
	b.sessions, b.organizations = authv1.NewSessionServiceClient(conn), authv1.NewOrganizationServiceClient(conn)
	b.accounts, b.keys = authv1.NewAccountServiceClient(conn), authv1.NewKeyServiceClient(conn)
	b.serviceTokens = authv1.NewServiceTokenServiceClient(conn)
	return b
}

func serve(t *testing.T, server *rpcserver.Server) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, listener) }()
	conn, err := grpc.NewClient("passthrough:///auth", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	must(t, err)
	t.Cleanup(func() {
		must(t, conn.Close())
		cancel()
		must(t, <-done)
	})
	return conn
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
	return metadata.AppendToOutgoingContext(ctx, rpcserver.MetadataAuthorization, "Bearer "+tokens.GetAccessToken())
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
