// Package rpcserver is the gRPC server that every service runs.
//
// It puts one chain around every RPC, in one order, so that no service can
// forget a link:
//
//	recover → trace, log, metrics → authenticate → limit the caller →
//	authorize → decode → validate → answer a repeated request → the handler →
//	map its error
//
// Of a request whose caller is not authorized, only the size is looked at. The
// request is decoded after the caller was authorized (decode.go), and the sizes
// in it are checked before its other rules (sizes.go).
//
// Who calls is read from two credentials and nothing else: the user's access
// token, API key or ticket in "authorization", and the calling service's token in
// "x-gatehouse-service-token". What a request says of its origin (the client's
// address) is believed only beside a valid service token. An RPC without a
// rule is denied.
//
// Handlers return faults or any error; the chain turns them into
// google.rpc.Status, logs the cause of server faults, and lets no text of a
// driver or of a library reach a client.
//
// The listener is the caller's, TCP or in memory: the all-in-one process runs
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
	_ "google.golang.org/grpc/encoding/gzip" // clients that compress are understood
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/identity"
)

const (
	// maxRecvBytes admits the largest message that the gateway lets through,
	// 4 MiB of JSON, and the text of a large document.
	maxRecvBytes = 8 << 20
	// streamWindow and connWindow bound what is received before a handler reads it,
	// in bytes. grpc-go would let them grow to 16 MiB for each stream, and a client
	// that sends faster than the handler reads would fill them.
	streamWindow = 256 << 10
	connWindow   = 1 << 20
	// unaryTimeout ends a unary call that came without a deadline of its own.
	unaryTimeout = 30 * time.Second
	// streamWorkers is how many goroutines are kept for calls.
	streamWorkers = 8
	// drainTimeout bounds how long a stopping server waits for its calls.
	drainTimeout = 10 * time.Second
)

// Config is what differs between servers.
type Config struct {
	// Service is the server's name, for logs: auth, management or chat.
	Service string
	// Limits says whether callers are limited.
	Limits bool
	// Reflection says whether the server describes itself to anybody who can
	// reach its port.
	Reflection bool
}

// Deps is what a server needs; all but the last three.
type Deps struct {
	Log        *slog.Logger
	Tracer     trace.TracerProvider
	Meter      metric.MeterProvider
	Clock      clock.Clock
	Verifier   *identity.Verifier
	Authorizer *authz.Authorizer
	// Revocations tell which tokens have lost their force.
	Revocations Revocations
	// APIKeys finds out whose API keys are. Without it, none is believed.
	APIKeys APIKeys
	// Answers remembers answers to requests with an Idempotency-Key. Without it,
	// such keys are ignored.
	Answers Replayer
	// Tickets redeems tickets. When it is nil, the server accepts no ticket.
	Tickets Tickets
}

// Tickets redeems tickets: credentials that open one RPC for one resource, once.
type Tickets interface {
	// Opens reports whether an RPC takes tickets.
	Opens(fullMethod string) bool
	// Redeem uses up a ticket and returns the user for whom it speaks, with the
	// resource that it opens, or UNAUTHENTICATED. The RPC must compare that resource
	// with the one in its request.
	Redeem(ctx context.Context, ticket string) (*identity.Principal, error)
}

// APIKeys finds out whose API keys are; package apikey asks auth.
type APIKeys interface {
	// Resolve returns whom a key speaks for, or UNAUTHENTICATED.
	Resolve(ctx context.Context, key string) (*identity.Principal, error)
}

// Revocations tell which tokens have lost their force; package revocation has
// those of auth's feed.
type Revocations interface {
	// Check answers UNAUTHENTICATED for a token that has lost its force.
	Check(ctx context.Context, p *identity.Principal) error
	// Watch calls a function once a token does so later, until stop is called.
	Watch(p *identity.Principal, revoked func()) (stop func())
}

func (d Deps) check() error {
	if d.Log == nil || d.Tracer == nil || d.Meter == nil || d.Clock == nil || d.Verifier == nil || d.Authorizer == nil || d.Revocations == nil {
		return errors.New("rpcserver: every dependency but APIKeys, Answers and Tickets is required")
	}
	return nil
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
func New(cfg Config, deps Deps) (*Server, error) {
	if err := deps.check(); err != nil {
		return nil, err
	}
	// One for all servers of a process: each would hold a registry of every type.
	// It is made with its first use, which is here, so that a rule that does not
	// compile stops the start.
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
	log := deps.Log.With("service", cfg.Service)
	draining := newDrain()
	c := &chain{
		log: log, clock: deps.Clock, verifier: deps.Verifier, authorizer: deps.Authorizer,
		validator: validator, sizes: newSizes(), limits: limits, drain: draining,
		keys: keyPolicies(), answers: deps.Answers, revocations: deps.Revocations, apiKeys: deps.APIKeys,
		tickets: deps.Tickets,
	}
	s := &Server{cfg: cfg, log: log, drain: draining, health: health.NewServer()}
	s.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(maxRecvBytes),
		grpc.ForceServerCodecV2(codec),
		grpc.MaxConcurrentStreams(10_000),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		// The chain is deep: a new goroutine for each call grows its stack anew, a
		// tenth of what a small call costs. Calls past these get one of their own.
		grpc.NumStreamWorkers(streamWorkers),
		// The gateway pings its long-lived connections; grpc-go's default policy
		// would answer that with too_many_pings and end every stream on them.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.StatsHandler(otelgrpc.NewServerHandler(
			otelgrpc.WithTracerProvider(deps.Tracer),
			otelgrpc.WithMeterProvider(deps.Meter),
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

// Run serves on the listener until ctx ends, then stops: it takes no new
// calls, ends open streams with UNAVAILABLE so that their clients resume
// elsewhere, and waits for the calls in flight, 10 s at most.
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
		s.log.Warn("calls did not end in time and were cut off")
		s.grpc.Stop()
		<-stopped
	}
	if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil // also when it was told to stop before it had begun
}
