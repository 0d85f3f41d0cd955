package gateway

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
)

// exchange is the state of one request and its response, which the links of the chain
// share. The first link creates it. Only the goroutine of the request uses it.
type exchange struct {
	requestID string
	client    netip.Addr
	userAgent string
	protocol  protocol
	// route is the pattern that was matched, never the raw path. It is in the names of
	// metrics and spans, of which there must be few.
	route string
	// method is the RPC of the route. It is nil for a path of the site.
	method *method
	// bodyField is the field of the request message that the JSON body fills. It is ""
	// when the body fills the message itself.
	bodyField string
	// body is the JSON body. It is kept to explain what is wrong with it.
	body []byte
	// releaseBody ends the counting of the body. It is nil when nothing was counted.
	releaseBody func()
	// session is set when the refresh token of the response goes into a cookie.
	session *cookieSession
	// fault is why the request failed, for the log.
	fault *fault.Fault
	start time.Time
	// header is the header of the response to the client. The proxy writes to another
	// one.
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

// exchangeOf returns the exchange of a request. Outside of the chain it returns an
// empty one.
func exchangeOf(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return &exchange{}
}

// recorder records the status and the size of a response. It unwraps, so that flushes
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
	return n, err
}

// Unwrap lets [http.ResponseController] reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
