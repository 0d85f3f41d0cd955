package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// internalPrefix begins every header by which the gateway and the services
	// speak to each other. From a client, and to one, it never passes.
	internalPrefix = "X-Gatehouse-"
	grpcType       = "application/grpc"
	// proxyBuffer is the unit in which answers are copied.
	proxyBuffer = 32 << 10
)

// serveGRPC passes a gRPC call through to its service, frame by frame.
func (g *Gateway) serveGRPC(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor < 2 {
		g.fail(w, r, fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "gRPC needs HTTP/2"))
		return
	}
	if err := limitMessage(w, r); err != nil {
		g.fail(w, r, err)
		return
	}
	g.passThrough(w, r)
}

// passThrough proxies a call that is framed as gRPC, whichever protocol it came
// by. Streams end with the gateway; single calls have a deadline.
func (g *Gateway) passThrough(w http.ResponseWriter, r *http.Request) {
	x := exchangeOf(r.Context())
	if x.method.streams {
		leave, refused := g.openStream(r)
		if refused != nil {
			g.proxyError(w, r, refused)
			return
		}
		defer leave()
		ctx, cancel := g.untilDrain(r.Context())
		defer cancel()
		r = r.WithContext(ctx)
	} else {
		ctx, cancel := context.WithTimeout(r.Context(), grpcTimeout(r.Header))
		defer cancel()
		r = r.WithContext(ctx)
	}
	set, err := x.method.upstream.credentials(r.Context())
	if err != nil {
		g.proxyError(w, r, err)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), credentialsKey{}, set))
	r.Body = clientBody{ReadCloser: r.Body, ctx: r.Context()}
	g.proxy.ServeHTTP(w, r)
}

// clientBody tells a message that its client did not send as it should from a
// service that cannot be reached: the one is not to be tried again.
type clientBody struct {
	io.ReadCloser
	ctx context.Context //nolint:containedctx // of the one request
}

// Read implements [io.Reader].
func (b clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var ours *fault.Fault
	var told *connect.Error
	if err == nil || errors.Is(err, io.EOF) || errors.As(err, &ours) || errors.As(err, &told) || b.ctx.Err() != nil {
		return n, err //nolint:wrapcheck // io.Reader: the caller compares the error
	}
	if tooMuch := new(http.MaxBytesError); errors.As(err, &tooMuch) {
		return n, tooLarge(tooMuch.Limit)
	}
	return n, unreadable()
}

// deadlineSlack is how much longer than the gateway a service may take: gRPC's
// server resets a call whose deadline passes, which says nothing of why, so ours
// is to pass first.
const deadlineSlack = 200 * time.Millisecond

// grpcTimeout caps what the client asks for, and tells the service.
func grpcTimeout(h http.Header) time.Duration {
	timeout, ok := parseTimeout(h.Get("Grpc-Timeout"))
	if !ok || timeout > requestTimeout {
		timeout = requestTimeout
	}
	h.Set("Grpc-Timeout", strconv.FormatInt((timeout+deadlineSlack).Microseconds(), 10)+"u")
	return timeout
}

type credentialsKey struct{}

// newProxy returns the one reverse proxy of every RPC protocol.
func (g *Gateway) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      upstreamTransport{},
		FlushInterval:  -1, // each message as it comes
		BufferPool:     &bufferPool{pool: sync.Pool{New: func() any { return new([proxyBuffer]byte) }}},
		ModifyResponse: answer,
		ErrorHandler:   g.proxyError,
		ErrorLog:       serverLog(g.deps.Log),
	}
}

// rewrite makes the request that the service gets: what the client may say,
// and what the gateway vouches for.
func rewrite(p *httputil.ProxyRequest) {
	p.SetURL(&url.URL{Scheme: "http", Host: exchangeOf(p.In.Context()).method.upstream.peer.Name})
	h := p.Out.Header
	for name := range h {
		if strings.HasPrefix(http.CanonicalHeaderKey(name), internalPrefix) {
			delete(h, name)
		}
	}
	// The gateway's own span is the service's parent, and cookies are for
	// browsers' pages.
	for _, name := range append(propagation.TraceContext{}.Fields(), "Cookie", "Origin", "Referer") {
		h.Del(name)
	}
	h.Set("Te", "trailers")
	set, _ := p.In.Context().Value(credentialsKey{}).(map[string]string)
	for name, value := range set {
		h.Set(name, value)
	}
}

// upstreamTransport sends a request to the service of its method.
type upstreamTransport struct{}

// RoundTrip implements [http.RoundTripper].
func (upstreamTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := exchangeOf(r.Context()).method.upstream.raw.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("pass through: %w", err)
	}
	return response, nil
}

// answer turns the service's answer into the client's.
func answer(response *http.Response) error {
	if !strings.HasPrefix(response.Header.Get("Content-Type"), grpcType) {
		return fmt.Errorf("the service answered %q", response.Header.Get("Content-Type")) // not gRPC at all
	}
	ctx := response.Request.Context()
	exchangeOf(ctx).release() // the service has decoded the message
	md := metadata.MD{}
	for name, values := range response.Header {
		if strings.HasPrefix(name, internalPrefix) {
			md.Append(name, values...)
			delete(response.Header, name)
		}
	}
	serviceHeaders(exchangeOf(ctx).header, md)
	response.Header.Del(headerRequestID) // the chain has told it
	lateStatus(response)
	response.Body = &answerBody{ReadCloser: response.Body, ctx: ctx, response: response}
	return nil
}

// lateStatus makes trailers of a status that came as headers, as it does when a
// call fails before any message. The proxy may flush headers before it sees
// that nothing follows, and a status in headers that do not end the stream is
// no status to clients.
func lateStatus(response *http.Response) {
	for _, name := range []string{"Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin"} {
		if values := response.Header.Values(name); len(values) > 0 {
			if response.Trailer == nil {
				response.Trailer = http.Header{}
			}
			response.Trailer[name] = values
			response.Header.Del(name)
		}
	}
}

// answerBody ends an answer that broke as gRPC ends: with a status. Without it
// the connection would be reset, which clients cannot tell from a fault of the
// service.
type answerBody struct {
	io.ReadCloser
	ctx      context.Context //nolint:containedctx // of the one request
	response *http.Response
}

// Read implements [io.Reader].
func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		if err != nil {
			exchangeOf(b.ctx).fault = statusOf(b.response)
		}
		return n, err //nolint:wrapcheck // io.Reader: the caller compares the error
	}
	f := upstreamFault(b.ctx, err)
	exchangeOf(b.ctx).fault = f
	st := fault.ToStatus(f)
	b.response.Trailer = http.Header{
		"Grpc-Status":  {strconv.Itoa(int(st.Code()))},
		"Grpc-Message": {st.Message()},
	}
	return n, io.EOF
}

// statusOf reads the outcome of a call for the log. It is nil on success.
func statusOf(response *http.Response) *fault.Fault {
	code, err := strconv.Atoi(response.Trailer.Get("Grpc-Status"))
	if err != nil || code == 0 {
		return nil //nolint:nilerr // no code is success
	}
	return fault.FromStatus(status.New(codes.Code(code), response.Trailer.Get("Grpc-Message"))) //nolint:gosec // small
}

// proxyError answers a call that never got an answer of its service. Behind
// the bridges it writes gRPC, which they translate.
func (g *Gateway) proxyError(w http.ResponseWriter, r *http.Request, err error) {
	f := upstreamFault(r.Context(), err)
	exchangeOf(r.Context()).fault = f
	g.writeStatus(w, asGRPC(r), f)
}

// upstreamFault explains why a call broke.
func upstreamFault(ctx context.Context, err error) *fault.Fault {
	var ours *fault.Fault
	var tooMuch *connect.Error
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &tooMuch) && tooMuch.Code() == connect.CodeResourceExhausted:
		return fault.From(tooLarge(exchangeOf(ctx).method.bodyLimit()))
	case errors.Is(context.Cause(ctx), errDraining):
		return fault.Wrap(err, faultv1.Reason_REASON_UNAVAILABLE, "this gateway is stopping").WithRetryAfter(time.Second)
	case ctx.Err() != nil:
		return fault.From(ctx.Err())
	default:
		return fault.Wrap(err, faultv1.Reason_REASON_UNAVAILABLE, "the service cannot be reached now").
			WithRetryAfter(time.Second)
	}
}

// asGRPC is the request as the proxy's side of a bridge sees it.
func asGRPC(r *http.Request) *http.Request {
	out := r.Clone(r.Context())
	out.Method = http.MethodPost
	out.Header.Set("Content-Type", grpcType)
	return out
}

// bufferPool lends the proxy its buffers.
type bufferPool struct{ pool sync.Pool }

// Get implements [httputil.BufferPool].
func (p *bufferPool) Get() []byte {
	b, _ := p.pool.Get().(*[proxyBuffer]byte)
	return b[:]
}

// Put implements [httputil.BufferPool].
func (p *bufferPool) Put(b []byte) {
	if cap(b) >= proxyBuffer {
		p.pool.Put((*[proxyBuffer]byte)(b[:proxyBuffer]))
	}
}
