package gateway

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	headerRequestID = "X-Request-Id"
	// maxRequestID bounds the request id that a client chose, in bytes.
	maxRequestID = 64
	// maxHeaders bounds how many header fields a request may have. The server bounds
	// their size.
	maxHeaders = 100
)

// link is one stage of the chain. It does its work and calls the next one.
type link func(next http.Handler) http.Handler

// chain returns a handler behind links, the first of which is the outermost.
func chain(handler http.Handler, links ...link) http.Handler {
	for i := len(links) - 1; i >= 0; i-- {
		handler = links[i](handler)
	}
	return handler
}

// identify finds the protocol of a request, and gives the request its id and the
// address of its client.
func identify(all protocols, trustedHops int, clk clock.Clock) link {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			x := &exchange{
				requestID: requestID(r.Header),
				client:    clientAddress(r, trustedHops),
				userAgent: httpio.Printable(r.UserAgent()),
				protocol:  all.of(r),
				start:     clk.Now(),
				header:    w.Header(),
			}
			w.Header().Set(headerRequestID, x.requestID)
			next.ServeHTTP(w, r.WithContext(withExchange(r.Context(), x)))
		})
	}
}

// requestID returns the id that the client chose when it is one short header with
// characters that are safe in every log. Otherwise it returns a new id.
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

// recoverPanics turns a panic into an error for the client and a log line with its
// stack.
func recoverPanics(log *slog.Logger) link {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				value := recover()
				if value == nil {
					return
				}
				if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(value) // how a handler tells net/http to close the connection
				}
				log.ErrorContext(r.Context(), "panic", "value", value, "stack", string(debug.Stack()),
					"request_id", exchangeOf(r.Context()).requestID)
				if rec, ok := w.(*recorder); ok && rec.status != 0 {
					// A part of the response was sent. Closing the connection shows the client
					// that it is incomplete.
					panic(http.ErrAbortHandler)
				}
				fail(w, r, fault.New(faultv1.Reason_REASON_INTERNAL, "an internal error occurred"))
			}()
			next.ServeHTTP(w, r)
		})
	}
}

// screen refuses requests with ambiguous paths, credentials or encodings, and with too
// many headers. No route ever sees them.
func screen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := checkHead(r); f != nil {
			fail(w, r, f)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func checkHead(r *http.Request) *fault.Fault {
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
