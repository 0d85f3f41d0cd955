package gateway

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/rpcclient"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// maxAnswer admits the largest answer that a service gives over REST: the
	// extracted text of a document.
	maxAnswer = UploadLimit + 1<<20
	// redial bounds how long a service that came back stays unnoticed.
	redial = 2 * time.Second
	// dialTimeout bounds one attempt to reach a service.
	dialTimeout = 3 * time.Second
	// pingTimeout is how long a service may take to answer a ping.
	pingTimeout = 10 * time.Second
)

// upstream is one service behind the gateway, reached in two ways over the
// same dialer: by generated clients for REST and SSE, and by raw HTTP/2 for
// the protocols that are passed through.
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
	conn, err := grpc.NewClient("passthrough:///"+peer.Name, //nolint:forbidigo // it forwards others' calls, with their deadlines and retries
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return peer.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: params, MinConnectTimeout: dialTimeout}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: connectionTimeout, Timeout: pingTimeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
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
		// Not more often than the services allow, which would close on us.
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

// credentials are the metadata that only the gateway may set: its own token,
// by which the service believes the rest, and where the request came from.
func (u *upstream) credentials(ctx context.Context) (map[string]string, error) {
	token, err := u.tokens.Token(ctx, u.peer.Name)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fault.Wrap(err, faultv1.Reason_REASON_UNAVAILABLE, "the service cannot be reached now").
			WithRetryAfter(time.Second)
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

// printable cuts a text of the client's down to what metadata may hold.
func printable(s string) string {
	out := make([]byte, 0, min(len(s), maxLogged))
	for i := 0; i < len(s) && len(out) < maxLogged; i++ {
		if s[i] >= ' ' && s[i] < 0x7f {
			out = append(out, s[i])
		}
	}
	return string(out)
}
