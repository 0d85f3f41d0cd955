// Package rpcserver is the gRPC server that every service runs.
//
// It runs the same chain of steps around every RPC, so that no service can forget
// a step:
//
//	recover → trace, log, metrics → authenticate → limit the caller →
//	authorize → decode → validate → answer a repeated request → the handler →
//	map its error
//
// Before the caller is authorized, the server looks only at the size of a request.
// It decodes the request after it has authorized the caller (decode.go), and checks
// the sizes of the fields before their other rules (sizes.go).
//
// The identity of the caller comes from two credentials only: the user's access
// token, API key or ticket in "authorization", and the calling service's token in
// "x-gatehouse-service-token". The server trusts what a request states about its
// origin (the client's address) only with a valid service token. An RPC without a
// rule is denied.
//
// Handlers return faults or any other error. The chain converts them to
// google.rpc.Status and logs the cause of server faults. Error texts of drivers and
// libraries never reach a client.
//
// The caller provides the listener, TCP or in memory: the all-in-one process runs
// the same servers over bufconn.
package rpcserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"buf.build/go/protovalidate"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // accepts compressed requests
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/identity"
)

const (
	// maxRecvBytes admits the largest message that the gateway forwards,
	// 4 MiB of JSON, and the text of a large document.
	maxRecvBytes = 8 << 20
	// streamWindow and connWindow bound what is received before a handler reads it,
	// in bytes. By default grpc-go lets them grow to 16 MiB for each stream, and a client
	// that sends faster than the handler reads would fill them.
	streamWindow = 256 << 10
	connWindow   = 1 << 20
	// unaryTimeout is the deadline of a unary call whose client sets none.
	unaryTimeout = 30 * time.Second
	// streamWorkers is the number of goroutines that are reused for calls.
	streamWorkers = 8
	// drainTimeout bounds how long a stopping server waits for its calls.
	drainTimeout = 10 * time.Second
)

// Config is what differs between servers.
type Config struct {
	// Service is the server's name, for logs: auth, management or chat.
	Service string
	// Limits enables the rate limits of callers.
	Limits bool
	// Reflection enables gRPC reflection for every client that can reach the port.
	Reflection bool
}

// Deps are the dependencies of a server.
type Deps struct {
	Log        *slog.Logger
	Tracer     trace.TracerProvider
	Meter      metric.MeterProvider
	Clock      clock.Clock
	Verifier   *identity.Verifier
	Authorizer *authz.Authorizer
	// Revocations finds tokens that were revoked before they expire.
	Revocations Revocations
	// APIKeys resolves API keys. When it is nil, the server accepts no API key.
	APIKeys APIKeys `deps:"optional"`
	// Answers stores responses to requests with an Idempotency-Key. When it is nil,
	// the server ignores such keys.
	Answers Replayer `deps:"optional"`
	// Tickets redeems tickets. When it is nil, the server accepts no ticket.
	Tickets Tickets `deps:"optional"`
}

// Tickets redeems tickets: credentials that open one RPC for one resource, once.
type Tickets interface {
	// Opens reports whether an RPC accepts tickets.
	Opens(fullMethod string) bool
	// Redeem uses up a ticket. It returns the user of the ticket, with the resource
	// that the ticket opens, or UNAUTHENTICATED. The RPC must compare that resource
	// with the one in its request.
	Redeem(ctx context.Context, ticket string) (*identity.Principal, error)
}

// APIKeys resolves API keys. Package apikey implements it with calls to auth.
type APIKeys interface {
	// Resolve returns the principal of a key, or UNAUTHENTICATED.
	Resolve(ctx context.Context, key string) (*identity.Principal, error)
}

// Revocations finds revoked tokens. Package revocation implements it with auth's feed.
type Revocations interface {
	// Check returns UNAUTHENTICATED for a revoked token.
	Check(ctx context.Context, p *identity.Principal) error
	// Watch calls revoked once when the token is revoked later, until stop is called.
	Watch(p *identity.Principal, revoked func()) (stop func())
}

// Server is a gRPC server with the chain around every RPC.
type Server struct {
	cfg    Config
	log    *slog.Logger
	grpc   *grpc.Server
	health *health.Server
	drain  *drain
}

// New returns a server. Register services on it, then Run it.
func New(cfg Config, d Deps) (*Server, error) {
	if err := deps.Check("rpcserver", d); err != nil {
		return nil, err
	}
	// All servers of a process share one validator, because each would keep a registry
	// of every type. The first use builds it. It is used here so that a rule that does
	// not compile stops the start.
	validator := protovalidate.GlobalValidator
	if err := validator.Validate(&emptypb.Empty{}); err != nil {
		return nil, fmt.Errorf("rpcserver: %w", err)
	}
	limits, err := newLimits(cfg.Limits)
	if err != nil {
		return nil, err
	}
	codec, err := newLateCodec()
	if err != nil {
		return nil, err
	}
	log := d.Log.With("service", cfg.Service)
	draining := newDrain()
	c := &chain{
		log: log, clock: d.Clock, verifier: d.Verifier, authorizer: d.Authorizer,
		validator: validator, sizes: newSizes(), limits: limits, drain: draining,
		keys: keyPolicies(), answers: d.Answers, revocations: d.Revocations, apiKeys: d.APIKeys,
		tickets: d.Tickets,
	}
	s := &Server{cfg: cfg, log: log, drain: draining, health: health.NewServer()}
	s.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(maxRecvBytes),
		grpc.ForceServerCodecV2(codec),
		grpc.MaxConcurrentStreams(10_000),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		// The chain is deep, so a new goroutine for each call must grow its stack, which
		// is a tenth of the cost of a small call. When all workers are busy, a call gets
		// a new goroutine.
		grpc.NumStreamWorkers(streamWorkers),
		// The gateway pings its long-lived connections; grpc-go's default policy
		// would close them with too_many_pings, and end every stream on them.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.StatsHandler(otelgrpc.NewServerHandler(
			otelgrpc.WithTracerProvider(d.Tracer),
			otelgrpc.WithMeterProvider(d.Meter),
			otelgrpc.WithPropagators(propagation.TraceContext{}),
		)),
		grpc.ChainUnaryInterceptor(c.unary),
		grpc.ChainStreamInterceptor(c.stream),
	)
	healthv1.RegisterHealthServer(s.grpc, s.health)
	if cfg.Reflection {
		reflection.Register(s.grpc)
	}
	return s, nil
}

// RegisterService implements [grpc.ServiceRegistrar].
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.grpc.RegisterService(desc, impl)
}

// Run serves on the listener until ctx ends, then stops: it accepts no new
// calls, ends open streams with UNAVAILABLE so that their clients resume
// elsewhere, and waits at most 10 s for the calls in flight.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- s.grpc.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", s.cfg.Service, err)
	case <-ctx.Done():
	}
	s.health.Shutdown()
	// GracefulStop never returns while a stream is open.
	s.drain.begin()
	stopped := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(stopped)
	}()
	timer := clock.System().NewTimer(drainTimeout)
	defer timer.Stop()
	select {
	case <-stopped:
	case <-timer.C():
		s.log.Warn("calls did not end in time and were canceled")
		s.grpc.Stop()
		<-stopped
	}
	if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil // also when ctx ended before the server had started
}
