package rpcserver_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Positions that make WatchRun refuse, and send a message without a header first.
const refusedSeq, messageSeq = 404, 200

// handlers implements RPCs of real contracts, one for each kind of rule. Each test sets
// their bodies. The other RPCs of those contracts are never called.
type handlers struct {
	authv1.AccountServiceServer
	authv1.KeyServiceServer
	authv1.SessionServiceServer
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

func (h *handlers) WatchRun(req *chatv1.WatchRunRequest, stream grpc.ServerStreamingServer[chatv1.RunEvent]) error {
	switch req.GetAfterSeq() {
	case refusedSeq:
		return fault.NotFound("run")
	case messageSeq:
		return stream.Send(&chatv1.RunEvent{})
	}
	if err := stream.SendHeader(metadata.MD{}); err != nil {
		return err
	}
	return h.watch(stream.Context())
}

// logs collects the log of the server.
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

// running is a running server with generated clients.
type running struct {
	*rpctest.Server
	handlers   *handlers
	logs       *logs
	accounts   authv1.AccountServiceClient
	keys       authv1.KeyServiceClient
	assistants managementv1.AssistantServiceClient
	directory  managementv1.AssistantDirectoryServiceClient
	runs       chatv1.RunServiceClient
}

func start(t *testing.T, opts rpctest.Options) *running {
	t.Helper()
	r := &running{handlers: &handlers{}, logs: &logs{}}
	opts.Log = slog.New(slog.NewJSONHandler(r.logs, nil))
	r.Server = rpctest.Serve(t, "management", func(server grpc.ServiceRegistrar) {
		authv1.RegisterAccountServiceServer(server, r.handlers)
		authv1.RegisterKeyServiceServer(server, r.handlers)
		authv1.RegisterSessionServiceServer(server, r.handlers)
		managementv1.RegisterAssistantServiceServer(server, r.handlers)
		managementv1.RegisterAssistantDirectoryServiceServer(server, r.handlers)
		chatv1.RegisterRunServiceServer(server, r.handlers)
	}, opts)
	r.accounts, r.keys = authv1.NewAccountServiceClient(r.Conn), authv1.NewKeyServiceClient(r.Conn)
	r.assistants = managementv1.NewAssistantServiceClient(r.Conn)
	r.directory = managementv1.NewAssistantDirectoryServiceClient(r.Conn)
	r.runs = chatv1.NewRunServiceClient(r.Conn)
	return r
}

// as returns a context that calls as a user with roles.
func (r *running) as(t *testing.T, roles ...string) context.Context {
	t.Helper()
	return r.As(t, id.New(), roles...)
}

// asService adds the gateway's token for an audience.
func (r *running) asService(ctx context.Context, t *testing.T, audience string) context.Context {
	t.Helper()
	return r.WithService(ctx, t, "gateway", audience)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
