package rpcserver_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const issuer = "http://gatehouse.test"

// handlers are RPCs of real contracts, one of each kind of rule, whose bodies
// each test chooses. The other RPCs of those contracts are never called.
type handlers struct {
	authv1.AccountServiceServer
	authv1.KeyServiceServer
	managementv1.AssistantServiceServer
	managementv1.AssistantDirectoryServiceServer
	chatv1.RunServiceServer

	me       func(ctx context.Context) (*authv1.Me, error)
	assisted func(ctx context.Context, req *managementv1.CreateAssistantRequest) (*managementv1.Assistant, error)
	watch    func(ctx context.Context) error
}

func (h *handlers) GetMe(ctx context.Context, _ *authv1.GetMeRequest) (*authv1.Me, error) {
	return h.me(ctx)
}

func (h *handlers) GetJwks(context.Context, *authv1.GetJwksRequest) (*authv1.JsonWebKeySet, error) {
	return &authv1.JsonWebKeySet{}, nil
}

func (h *handlers) CreateAssistant(ctx context.Context, req *managementv1.CreateAssistantRequest) (*managementv1.Assistant, error) {
	return h.assisted(ctx, req)
}

func (h *handlers) ResolveAssistant(context.Context, *managementv1.ResolveAssistantRequest) (*managementv1.Assistant, error) {
	return &managementv1.Assistant{}, nil
}

func (h *handlers) WatchRun(_ *chatv1.WatchRunRequest, stream grpc.ServerStreamingServer[chatv1.RunEvent]) error {
	if err := stream.SendHeader(metadata.MD{}); err != nil {
		return err
	}
	return h.watch(stream.Context())
}

// logs is what the server has written.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// running is a server behind generated clients.
type running struct {
	handlers   *handlers
	key        identity.SigningKey
	logs       *logs
	stop       func() // begins the drain
	stopped    chan error
	accounts   authv1.AccountServiceClient
	keys       authv1.KeyServiceClient
	assistants managementv1.AssistantServiceClient
	directory  managementv1.AssistantDirectoryServiceClient
	runs       chatv1.RunServiceClient
}

type oneKey struct{ key identity.SigningKey }

func (k oneKey) Key(_ context.Context, kid string) (ed25519.PublicKey, bool, error) {
	public, _ := k.key.Private.Public().(ed25519.PublicKey)
	return public, kid == k.key.ID, nil
}

func start(t *testing.T, cfg rpcserver.Config) *running {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	must(t, err)
	r := &running{handlers: &handlers{}, key: identity.SigningKey{ID: "k1", Private: private}, logs: &logs{}, stopped: make(chan error, 1)}
	verifier, err := identity.NewVerifier(identity.VerifierConfig{Issuer: issuer, Service: "management"}, oneKey{r.key}, clock.System())
	must(t, err)
	authorizer, err := authz.New()
	must(t, err)
	cfg.Service = "management"
	server, err := rpcserver.New(cfg, rpcserver.Deps{
		Log: slog.New(slog.NewJSONHandler(r.logs, nil)), Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(),
		Clock: clock.System(), Verifier: verifier, Authorizer: authorizer,
	})
	must(t, err)
	authv1.RegisterAccountServiceServer(server, r.handlers)
	authv1.RegisterKeyServiceServer(server, r.handlers)
	managementv1.RegisterAssistantServiceServer(server, r.handlers)
	managementv1.RegisterAssistantDirectoryServiceServer(server, r.handlers)
	chatv1.RegisterRunServiceServer(server, r.handlers)
	r.serve(t, server)
	return r
}

func (r *running) serve(t *testing.T, server *rpcserver.Server) {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r.stop = cancel
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.stopped <- server.Run(ctx, listener)
	}()
	conn, err := grpc.NewClient("passthrough:///management", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	must(t, err)
	t.Cleanup(func() {
		must(t, conn.Close())
		cancel()
		<-done
	})
	r.accounts = authv1.NewAccountServiceClient(conn)
	r.keys = authv1.NewKeyServiceClient(conn)
	r.assistants = managementv1.NewAssistantServiceClient(conn)
	r.directory = managementv1.NewAssistantDirectoryServiceClient(conn)
	r.runs = chatv1.NewRunServiceClient(conn)
}

// as returns a context that calls as a user with roles.
func (r *running) as(t *testing.T, roles ...string) context.Context {
	t.Helper()
	now := clock.System().Now()
	token, err := identity.SignAccess(r.key, identity.AccessClaims{
		Issuer: issuer, Subject: id.New(), ID: id.New(), ClientID: identity.FirstParty, OrganizationID: id.New(),
		SessionID: id.New(), Roles: roles, IssuedAt: now, ExpiresAt: now.Add(time.Minute), AuthTime: now,
	})
	must(t, err)
	return metadata.AppendToOutgoingContext(t.Context(), rpcserver.MetadataAuthorization, "Bearer "+token)
}

// asService adds a service's token for an audience.
func (r *running) asService(t *testing.T, ctx context.Context, audience string) context.Context { //nolint:revive // t comes first in tests
	t.Helper()
	now := clock.System().Now()
	token, err := identity.SignService(r.key, identity.ServiceClaims{
		Issuer: issuer, Service: "gateway", Audience: audience, IssuedAt: now, ExpiresAt: now.Add(time.Minute),
	})
	must(t, err)
	return metadata.AppendToOutgoingContext(ctx, rpcserver.MetadataServiceToken, token)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
