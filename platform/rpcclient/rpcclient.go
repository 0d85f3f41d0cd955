// Package rpcclient dials the services of Gatehouse.
//
// A connection adds to every call: the token of the calling service, the access token
// of the present request's user, the request's id and origin, and the trace. Calls
// without a deadline get one. RPCs that the contract marks as reads are retried on
// UNAVAILABLE; writes are never retried.
package rpcclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	"github.com/gatehouse/gatehouse/proto/catalog"
)

const (
	// callTimeout is the deadline of a call whose caller sets none.
	callTimeout = 10 * time.Second
	// hopAllowance is subtracted from the caller's deadline, so that the inner timeout
	// is the one that is reported.
	hopAllowance = 20 * time.Millisecond
	// maxMessageBytes admits the largest response: the text of a document.
	maxMessageBytes = 8 << 20
)

// Peer is a service to dial.
type Peer struct {
	// Name is the service's name, and the audience of its tokens.
	Name string
	// DialContext opens a connection, over TCP or in memory.
	DialContext func(ctx context.Context) (net.Conn, error)
}

// TokenSource returns service tokens.
type TokenSource interface {
	// Token returns a token with which this service may call the audience.
	Token(ctx context.Context, audience string) (string, error)
}

// Telemetry traces and counts calls.
type Telemetry struct {
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
}

// Dial returns a connection to a peer. It connects with the first call. Tokens may be
// nil for calls that need no credential.
func Dial(peer Peer, tokens TokenSource, t Telemetry) (*grpc.ClientConn, error) {
	if peer.Name == "" || peer.DialContext == nil || t.Tracer == nil || t.Meter == nil {
		return nil, errors.New("rpcclient: name, dialer and telemetry are required")
	}
	config, err := retryConfig()
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///"+peer.Name,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return peer.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(config),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(
			otelgrpc.WithTracerProvider(t.Tracer),
			otelgrpc.WithMeterProvider(t.Meter),
			otelgrpc.WithPropagators(propagation.TraceContext{}),
		)),
		grpc.WithChainUnaryInterceptor(unary(peer.Name, tokens)),
	)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", peer.Name, err)
	}
	return conn, nil
}

// TCP returns a dialer for an address.
func TCP(address string) func(ctx context.Context) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}
	return func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", address) }
}

func unary(audience string, tokens TokenSource) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
		invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		ctx, cancel := withDeadline(ctx)
		defer cancel()
		ctx, err := withCredentials(ctx, audience, tokens)
		if err != nil {
			return err
		}
		return invoke(ctx, method, req, reply, cc, opts...)
	}
}

func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, has := ctx.Deadline()
	if !has {
		return context.WithTimeout(ctx, callTimeout)
	}
	return context.WithDeadline(ctx, deadline.Add(-hopAllowance))
}

func withCredentials(ctx context.Context, audience string, tokens TokenSource) (context.Context, error) {
	pairs := make([]string, 0, 10)
	if tokens != nil {
		token, err := tokens.Token(ctx, audience)
		if err != nil {
			return ctx, fmt.Errorf("token for %s: %w", audience, err)
		}
		pairs = append(pairs, rpcserver.MetadataServiceToken, token)
	}
	if p, ok := identity.FromContext(ctx); ok {
		pairs = append(pairs, rpcserver.MetadataAuthorization, "Bearer "+p.Token)
	}
	origin := identity.OriginFromContext(ctx)
	for name, value := range map[string]string{
		rpcserver.MetadataRequestID: origin.RequestID,
		rpcserver.MetadataClientIP:  origin.IPAddress,
		rpcserver.MetadataUserAgent: origin.UserAgent,
	} {
		if value != "" {
			pairs = append(pairs, name, value)
		}
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...), nil
}

// retryConfig is the gRPC service config that retries reads.
func retryConfig() (string, error) {
	type name struct {
		Service string `json:"service"`
		Method  string `json:"method"`
	}
	var reads []name
	for _, m := range catalog.Methods() {
		if m.ReadOnly() && !m.Descriptor.IsStreamingServer() {
			service, method, _ := strings.Cut(strings.TrimPrefix(m.FullMethod, "/"), "/")
			reads = append(reads, name{service, method})
		}
	}
	config, err := json.Marshal(map[string]any{"methodConfig": []any{map[string]any{
		"name": reads,
		"retryPolicy": map[string]any{
			"maxAttempts": 3, "initialBackoff": "0.05s", "maxBackoff": "0.5s", "backoffMultiplier": 2,
			"retryableStatusCodes": []string{"UNAVAILABLE"},
		},
	}}})
	if err != nil {
		return "", fmt.Errorf("rpcclient: %w", err)
	}
	return string(config), nil
}
