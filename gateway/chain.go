package gateway

import (
	"errors"
	"net/http"
	"runtime/debug"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	headerRequestID = "X-Request-Id"
	// maxRequestID bounds a client's own request id.
	maxRequestID = 64
	// maxHeaders bounds how many header fields a request may have; their size
	// is bounded by the server.
	maxHeaders = 100
)

// link is one stage around the routes.
type link func(http.Handler) http.Handler

// chain returns the routes with every link around them, the first outermost.
//
// Order matters: the request id and the recorder come first, so that whatever
// happens later is logged under an id; headers that protect browsers are set
// before anything can answer; what costs nothing to refuse is refused before
// the limiter counts, and the limiter before anything that costs.
func (g *Gateway) chain(routes http.Handler) http.Handler {
	links := []link{
		g.identify,
		g.observe,
		g.recover,
		g.protect,
		g.cors,
		g.screen,
		g.limitAddress,
	}
	for i := len(links) - 1; i >= 0; i-- {
		routes = links[i](routes)
	}
	return routes
}

// identify gives the request its id and its client address.
func (g *Gateway) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{
			requestID: requestID(r.Header),
			client:    clientAddress(r, g.config.TrustedProxyHops),
			userAgent: printable(r.UserAgent()),
			protocol:  protocolOf(r),
			start:     g.deps.Clock.Now(),
			header:    w.Header(),
		}
		w.Header().Set(headerRequestID, x.requestID)
		next.ServeHTTP(w, r.WithContext(withExchange(r.Context(), x)))
	})
}

// requestID takes the client's id over when it is sane: one header, short, and
// of characters that are safe in every log.
func requestID(h http.Header) string {
	values := h.Values(headerRequestID)
	if len(values) != 1 || len(values[0]) == 0 || len(values[0]) > maxRequestID {
		return id.New()
	}
	for _, c := range []byte(values[0]) {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
		if !ok {
			return id.New()
		}
	}
	return values[0]
}

// recover turns a panic into an answer and a log line with its stack.
func (g *Gateway) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(value) // net/http's own way to cut a connection
			}
			g.deps.Log.ErrorContext(r.Context(), "panic", "value", value, "stack", string(debug.Stack()),
				"request_id", exchangeOf(r.Context()).requestID)
			if rec, ok := w.(*recorder); ok && rec.status != 0 {
				panic(http.ErrAbortHandler) // half an answer is out: cut it, so that nobody takes it for a whole one
			}
			g.fail(w, r, fault.New(faultv1.Reason_REASON_INTERNAL, "an internal error occurred"))
		}()
		next.ServeHTTP(w, r)
	})
}

// screen refuses what no route may ever see: doubtful paths, doubtful
// credentials, doubtful encodings, too many headers.
func (g *Gateway) screen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := screen(r); f != nil {
			g.fail(w, r, f)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func screen(r *http.Request) *fault.Fault {
	count := 0
	for _, values := range r.Header {
		count += len(values)
	}
	if count > maxHeaders {
		return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "more than %d header fields", maxHeaders)
	}
	if !plainPath(r.URL) {
		return fault.New(faultv1.Reason_REASON_ROUTE_NOT_FOUND, "no route has this path")
	}
	if f := screenEncoding(r); f != nil {
		return f
	}
	if f := takeTicket(r); f != nil {
		return f
	}
	return screenCredential(r)
}
