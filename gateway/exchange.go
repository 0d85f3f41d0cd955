package gateway

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
)

// exchange is what the links of the chain know about one request and its
// answer. The first link makes it; it is used by the request's goroutine alone.
type exchange struct {
	requestID string
	client    netip.Addr
	userAgent string
	protocol  string
	// route is the pattern that was matched, never the raw path: it names
	// metrics and spans, which must stay few.
	route string
	// method is the RPC behind the route, and nil for pages.
	method *method
	// bodyField is the field of the request that the JSON body fills, or "" when
	// it fills the request itself.
	bodyField string
	// body is the request's JSON, kept to explain what is wrong with it.
	body []byte
	// releaseBody gives back what was counted of the body; nil when nothing was
	// counted.
	releaseBody func()
	// cookies say that the answer's refresh token goes into a cookie.
	cookies *cookies
	// fault is how the request failed, for the log.
	fault *fault.Fault
	start time.Time
	// header is the client's answer, for what must replace a header there.
	header http.Header
}

// release ends the counting of the body. It may be called again.
func (x *exchange) release() {
	if x.releaseBody != nil {
		x.releaseBody()
	}
}

type exchangeKey struct{}

func withExchange(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// exchangeOf returns the exchange of a request. Outside of the chain, where
// there is none, it returns an empty one.
func exchangeOf(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return &exchange{}
}

// recorder notes status and size of an answer. It unwraps, so that flushing
// and deadlines reach the connection.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements [http.ResponseWriter].
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err //nolint:wrapcheck // io.Writer: the caller compares the error
}

// Unwrap lets [http.ResponseController] reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
