package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gatehouse/gatehouse/platform/rpcclient"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
)

const (
	// maxResponse is the largest response of a service over REST, in bytes: the extracted
	// text of a document.
	maxResponse = UploadLimit + 1<<20
	// redial bounds how long the gateway waits before it tries to reach a service again.
	redial = 2 * time.Second
	// dialTimeout bounds one attempt to reach a service.
	dialTimeout = 3 * time.Second
	// pingTimeout is how long a service may take to respond to a ping.
	pingTimeout = 10 * time.Second
)

// upstreams are the services behind the gateway.
type upstreams struct {
	byName map[string]*upstream // auth, management, chat
}

func newUpstreams(deps Deps) (*upstreams, error) {
	u := &upstreams{byName: map[string]*upstream{}}
	for name, peer := range map[string]rpcclient.Peer{"auth": deps.Auth, "management": deps.Management, "chat": deps.Chat} {
		up, err := newUpstream(peer, deps.Tokens)
		if err != nil {
			return nil, errors.Join(err, u.close())
		}
		u.byName[name] = up
	}
	return u, nil
}

func (u *upstreams) close() error {
	var problems []error
	for _, up := range u.byName {
		problems = append(problems, up.close())
	}
	return errors.Join(problems...)
}

// register adds the generated REST routes of every public service to a mux.
func (u *upstreams) register(mux *runtime.ServeMux) error {
	for _, s := range publicServices() {
		if s.register == nil {
			continue // none of its RPCs has a REST route
		}
		// The handlers close the connection when this context ends. But the gateway closes
		// it itself.
		if err := s.register(context.Background(), mux, u.byName[s.backend].conn); err != nil { //nolint:forbidigo // it must not end
			return fmt.Errorf("register %s: %w", s.name, err)
		}
	}
	return nil
}

// upstream is one service behind the gateway. Both of its connections use the same
// dialer: conn is for the generated clients of REST and SSE, raw is for the calls that
// are passed through as HTTP/2.
type upstream struct {
	peer       rpcclient.Peer
	tokens     rpcclient.TokenSource
	propagator propagation.TraceContext
	conn       *grpc.ClientConn
	raw        *http.Transport
}

func newUpstream(peer rpcclient.Peer, tokens rpcclient.TokenSource) (*upstream, error) {
	u := &upstream{peer: peer, tokens: tokens}
	params := backoff.DefaultConfig
	params.BaseDelay, params.MaxDelay = 100*time.Millisecond, redial
	conn, err := grpc.NewClient("passthrough:///"+peer.Name, //nolint:forbidigo // it forwards the calls of clients, with their deadlines and retries
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return peer.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: params, MinConnectTimeout: dialTimeout}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: connectionTimeout, Timeout: pingTimeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxResponse)),
		grpc.WithUnaryInterceptor(u.unary),
		grpc.WithStreamInterceptor(u.stream),
	)
	if err != nil {
		return nil, fmt.Errorf("upstream %s: %w", peer.Name, err)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	u.conn = conn
	u.raw = &http.Transport{
		Protocols:          protocols,
		DisableCompression: true,
		IdleConnTimeout:    idleTimeout,
		// Not more often than the services allow; they would close the connection.
		HTTP2: &http.HTTP2Config{SendPingTimeout: connectionTimeout, PingTimeout: pingTimeout},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			return peer.DialContext(ctx)
		},
	}
	return u, nil
}

func (u *upstream) close() error {
	u.raw.CloseIdleConnections()
	if err := u.conn.Close(); err != nil && status.Code(err) != codes.Canceled {
		return fmt.Errorf("upstream %s: %w", u.peer.Name, err)
	}
	return nil
}

// credentials returns the metadata that only the gateway may set: its own token, because
// of which the service trusts the rest, and the origin of the request.
func (u *upstream) credentials(ctx context.Context) (map[string]string, error) {
	token, err := u.tokens.Token(ctx, u.peer.Name)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, unreachable(err)
	}
	x := exchangeOf(ctx)
	out := map[string]string{
		rpcserver.MetadataServiceToken: token,
		rpcserver.MetadataRequestID:    x.requestID,
	}
	if ip := addressText(x.client); ip != "" {
		out[rpcserver.MetadataClientIP] = ip
	}
	if x.userAgent != "" {
		out[rpcserver.MetadataUserAgent] = x.userAgent
	}
	u.propagator.Inject(ctx, propagation.MapCarrier(out))
	return out, nil
}

func (u *upstream) annotate(ctx context.Context) (context.Context, error) {
	set, err := u.credentials(ctx)
	if err != nil {
		return ctx, err
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	md = md.Copy()
	for name, value := range set {
		md.Set(name, value)
	}
	return metadata.NewOutgoingContext(ctx, md), nil
}

func (u *upstream) unary(ctx context.Context, name string, req, reply any, cc *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	ctx, err := u.annotate(ctx)
	if err != nil {
		return err
	}
	return invoke(ctx, name, req, reply, cc, opts...)
}

func (u *upstream) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, name string,
	open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	ctx, err := u.annotate(ctx)
	if err != nil {
		return nil, err
	}
	return open(ctx, desc, cc, name, opts...)
}
