package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// internalPrefix begins every header between the gateway and the services. Such a
	// header never passes from a client or to one.
	internalPrefix = "X-Gatehouse-"
	// proxyBuffer is the unit in which responses are copied, in bytes.
	proxyBuffer = 32 << 10
	// deadlineSlack is how much longer than the gateway a service may take. gRPC's server
	// resets a call whose deadline passes, without a reason, so the deadline of the
	// gateway must pass first.
	deadlineSlack = 200 * time.Millisecond
)

// proxy passes calls in the format of gRPC through to their services. gRPC-Web and
// Connect are translated to gRPC first.
type proxy struct {
	reverse *httputil.ReverseProxy
	streams *streams
	status  statusWriter
}

func newProxy(streams *streams, status statusWriter, log *slog.Logger) *proxy {
	p := &proxy{streams: streams, status: status}
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      upstreamTransport{},
		FlushInterval:  -1, // flush each message when it arrives
		BufferPool:     &bufferPool{pool: sync.Pool{New: func() any { return new([proxyBuffer]byte) }}},
		ModifyResponse: modifyResponse,
		ErrorHandler:   p.fail,
		ErrorLog:       serverLog(log),
	}
	return p
}

// ServeHTTP passes a call through. A stream ends when the gateway stops; a single call
// has a deadline.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchangeOf(r.Context())
	if x.method.streams {
		ctx, leave, err := p.streams.enter(r)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		defer leave()
		r = r.WithContext(ctx)
	} else {
		ctx, cancel := context.WithTimeout(r.Context(), capTimeout(r.Header))
		defer cancel()
		r = r.WithContext(ctx)
	}
	set, err := x.method.upstream.credentials(r.Context())
	if err != nil {
		p.fail(w, r, err)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), credentialsKey{}, set))
	r.Body = clientBody{ReadCloser: r.Body, ctx: r.Context()}
	p.reverse.ServeHTTP(w, r)
}

// fail responds to a call that got no response from its service. It responds in gRPC,
// which the other protocols translate.
func (p *proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := upstreamFault(r.Context(), err)
	exchangeOf(r.Context()).fault = f
	p.status.write(w, asGRPC(r), f)
}

// upstreamFault returns the fault for a call that broke.
func upstreamFault(ctx context.Context, err error) *fault.Fault {
	var known *fault.Fault
	var tooMuch *connect.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &tooMuch) && tooMuch.Code() == connect.CodeResourceExhausted:
		return fault.From(httpio.TooLarge(exchangeOf(ctx).method.bodyLimit()))
	case errors.Is(context.Cause(ctx), errDraining):
		return fault.From(drainError(ctx, err))
	case ctx.Err() != nil:
		return fault.From(ctx.Err())
	default:
		return unreachable(err)
	}
}

// capTimeout returns how long a call may take: as long as the client asks, within the
// limit. It sets the header for the service.
func capTimeout(h http.Header) time.Duration {
	timeout, ok := parseTimeout(h.Get("Grpc-Timeout"))
	if !ok || timeout > httpio.RequestTimeout {
		timeout = httpio.RequestTimeout
	}
	h.Set("Grpc-Timeout", strconv.FormatInt((timeout+deadlineSlack).Microseconds(), 10)+"u")
	return timeout
}

// clientBody marks the errors of a body that the client did not send correctly. The
// client must not retry such a call, other than one whose service cannot be reached.
type clientBody struct {
	io.ReadCloser
	ctx context.Context //nolint:containedctx // of the one request
}

// Read implements [io.Reader].
func (b clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var known *fault.Fault
	var translated *connect.Error
	if err == nil || errors.Is(err, io.EOF) || errors.As(err, &known) || errors.As(err, &translated) || b.ctx.Err() != nil {
		return n, err
	}
	if tooMuch := new(http.MaxBytesError); errors.As(err, &tooMuch) {
		return n, httpio.TooLarge(tooMuch.Limit)
	}
	return n, unreadable()
}

type credentialsKey struct{}

// rewrite builds the request to the service. It removes the headers that a client must
// not send, and sets those of the gateway.
func rewrite(p *httputil.ProxyRequest) {
	p.SetURL(&url.URL{Scheme: "http", Host: exchangeOf(p.In.Context()).method.upstream.peer.Name})
	h := p.Out.Header
	for name := range h {
		if strings.HasPrefix(http.CanonicalHeaderKey(name), internalPrefix) {
			delete(h, name)
		}
	}
	// The parent of the service's span is the gateway's own span. Cookies are for the
	// pages of browsers.
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

// modifyResponse turns the response of a service into the one for the client.
func modifyResponse(response *http.Response) error {
	if !strings.HasPrefix(response.Header.Get("Content-Type"), grpcType) {
		return fmt.Errorf("the service responded with the content type %q, which is not gRPC", response.Header.Get("Content-Type"))
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
	response.Header.Del(headerRequestID) // the chain has set it
	statusToTrailers(response)
	response.Body = &responseBody{ReadCloser: response.Body, ctx: ctx, response: response}
	return nil
}

// statusToTrailers moves a status from the headers to the trailers. A service sends it
// as headers when a call fails before any message. But the proxy may flush headers
// before it sees that nothing follows, and clients ignore a status in headers that do
// not end the stream.
func statusToTrailers(response *http.Response) {
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

// responseBody ends a response that broke with a status, as gRPC does. Without it the
// connection would be reset, which clients cannot tell from a failure of the service.
type responseBody struct {
	io.ReadCloser
	ctx      context.Context //nolint:containedctx // of the one request
	response *http.Response
}

// Read implements [io.Reader].
func (b *responseBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		if err != nil {
			exchangeOf(b.ctx).fault = outcome(b.response)
		}
		return n, err
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

// outcome returns the fault in the trailers of a response, for the log. It is nil when
// the call succeeded.
func outcome(response *http.Response) *fault.Fault {
	code, err := strconv.Atoi(response.Trailer.Get("Grpc-Status"))
	if err != nil || code == 0 {
		return nil //nolint:nilerr // a response without a code succeeded
	}
	return fault.FromStatus(status.New(codes.Code(code), response.Trailer.Get("Grpc-Message"))) //nolint:gosec // small
}

// unreachable returns the fault for a service that cannot be reached.
func unreachable(err error) *fault.Fault {
	return fault.Wrap(err, faultv1.Reason_REASON_UNAVAILABLE, "the service cannot be reached now").
		WithRetryAfter(time.Second)
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
