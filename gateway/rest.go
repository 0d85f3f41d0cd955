package gateway

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/gateway/site"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// rest is the REST API and the site: every request that is not an RPC.
type rest struct {
	site     *site.Site
	mux      *runtime.ServeMux
	table    *table
	bodies   *bodies
	sessions browserSessions
}

// newREST returns the REST API. Its mux has the generated routes, and before them those
// that grpc-gateway cannot serve: streams of events, exports, uploads, and navigation.
func newREST(
	pages *site.Site, table *table, upstreams *upstreams, streams *streams, bodies *bodies, sessions browserSessions, clk clock.Clock,
) (*rest, error) {
	a := &rest{site: pages, table: table, bodies: bodies, sessions: sessions}
	a.mux = runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newCodec()),
		runtime.WithErrorHandler(a.serviceError),
		runtime.WithRoutingErrorHandler(a.routingError),
		runtime.WithIncomingHeaderMatcher(incomingHeader),
		runtime.WithOutgoingHeaderMatcher(noHeader),
		runtime.WithOutgoingTrailerMatcher(noHeader),
		runtime.WithForwardResponseOption(responseHeaders),
		runtime.WithForwardResponseOption(sessions.respond),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithWriteContentLength(),
		runtime.WithMiddlewares(a.strict),
	)
	if err := upstreams.register(a.mux); err != nil {
		return nil, err
	}
	chat := upstreams.byName["chat"].conn
	events := &eventStreams{mux: a.mux, table: table, conn: chat, streams: streams, clock: clk}
	exports := &exports{mux: a.mux, conn: chat, streams: streams}
	uploads := &uploads{mux: a.mux, conn: chat, method: table.methods[uploadMethod]}
	// These routes replace generated ones of the same pattern, because the mux tries the
	// newest route first.
	routes := events.routes()
	maps.Copy(routes, map[string]runtime.HandlerFunc{
		"POST /v1/me:export":    exports.serve,
		"POST " + uploadPattern: uploads.serve,
	})
	for _, pattern := range pages.Patterns() {
		routes[pattern.Method+" "+pattern.Path] = sitePattern(pattern)
	}
	for _, pattern := range slices.Sorted(maps.Keys(routes)) {
		verb, path, _ := strings.Cut(pattern, " ")
		if err := a.mux.HandlePath(verb, path, routes[pattern]); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// sitePattern returns the handler of a path of the site that has parameters.
func sitePattern(p site.Pattern) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		exchangeOf(r.Context()).route = p.Path
		for name, value := range params {
			r.SetPathValue(name, value)
		}
		p.Handler.ServeHTTP(w, r)
	}
}

// newCodec returns the JSON of the API. It writes zero values, and refuses unknown
// fields.
func newCodec() *runtime.HTTPBodyMarshaler {
	return &runtime.HTTPBodyMarshaler{Marshaler: &runtime.JSONPb{
		MarshalOptions:   protojson.MarshalOptions{EmitUnpopulated: true},
		UnmarshalOptions: protojson.UnmarshalOptions{},
	}}
}

// name implements [protocol].
func (*rest) name() string { return "rest" }

// accepts implements [protocol]. REST is the last protocol of the list.
func (*rest) accepts(*http.Request) bool { return true }

// fail implements [protocol]. It responds with a problem (RFC 9457).
func (*rest) fail(w http.ResponseWriter, r *http.Request, f *fault.Fault) {
	x := exchangeOf(r.Context())
	if x.bodyField != "" {
		f = f.Below(x.bodyField)
	}
	fault.WriteProblem(w, f, r.URL.Path, x.requestID)
}

// serve implements [protocol]. HEAD is GET whose body net/http drops. A stream refuses
// HEAD, because it would stay open without a reader.
func (a *rest) serve(w http.ResponseWriter, r *http.Request) {
	if page, found := a.site.Lookup(r.URL.Path); found {
		exchangeOf(r.Context()).route = r.URL.Path
		page.ServeHTTP(w, r)
		return
	}
	r = r.Clone(r.Context())
	// The mux would add these to the metadata for the services, as if the gateway had
	// verified them.
	r.Header.Del("X-Forwarded-For")
	r.Header.Del("X-Forwarded-Host")
	switch r.Method {
	case http.MethodHead:
		r.Method = http.MethodGet
		r = r.WithContext(context.WithValue(r.Context(), headKey{}, true))
	case http.MethodOptions:
		if allowed := a.allowed(r); allowed != "" {
			w.Header().Set("Allow", allowed)
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	a.mux.ServeHTTP(w, r)
}

// strict wraps the handler of every REST route. It refuses what grpc-gateway would
// accept: other content types, unknown query parameters, data after the body, and bodies
// without a limit. It gives each call a deadline.
func (a *rest) strict(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		route := a.table.matched(r)
		if p, probing := r.Context().Value(probeKey{}).(*probe); probing {
			p.matched, p.streams = true, route != nil && route.streams
			return
		}
		if route == nil {
			next(w, r, params) // an upload or a page, which checks its requests itself
			return
		}
		x := exchangeOf(r.Context())
		x.route, x.method = route.pattern, route.method
		if route.body != "*" {
			x.bodyField = route.body
		}
		defer x.release()
		timeout, err := a.check(w, r, route, params)
		if err != nil {
			fail(w, r, err)
			return
		}
		if !route.streams {
			ctx, cancel := context.WithTimeout(r.Context(), timeout)
			defer cancel()
			defer httpio.WriteDeadline(w)()
			r = r.WithContext(ctx)
		}
		next(w, r, params)
	}
}

// check checks a request as far as its service is not needed, and reads its body. It
// returns how long the request may take.
func (a *rest) check(w http.ResponseWriter, r *http.Request, route *route, params map[string]string) (time.Duration, error) {
	if r.Context().Value(headKey{}) != nil && route.streams {
		w.Header().Set("Allow", http.MethodGet)
		return 0, fault.New(faultv1.Reason_REASON_METHOD_NOT_ALLOWED, "a stream has no HEAD")
	}
	// Without a body there is nothing to decode, and the service refuses the caller.
	if hasBody(r) {
		if err := refuseAnonymous(w, r, route.method, true); err != nil {
			return 0, err
		}
	}
	query, err := checkQuery(route, r.URL.RawQuery)
	if err != nil {
		return 0, err
	}
	r.URL.RawQuery = query
	timeout, err := timeoutOf(r.Header)
	if err != nil {
		return 0, err
	}
	x := exchangeOf(r.Context())
	x.releaseBody = a.bodies.count(r)
	if err := takeBody(w, r, route); err != nil {
		return 0, err
	}
	if err := checkPathIDs(route, x.body, params); err != nil {
		return 0, err
	}
	return timeout, a.sessions.prepare(r, route)
}

// serviceError responds with the error that a handler returned: the status of a service,
// or an error of grpc-gateway's own decoder, which explain replaces.
func (a *rest) serviceError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler,
	w http.ResponseWriter, r *http.Request, err error,
) {
	md, _ := runtime.ServerMetadataFromContext(ctx)
	serviceHeaders(w.Header(), md.HeaderMD)
	w.Header().Del("ETag")
	if isDecodeError(err) {
		err = explain(a.table.matched(r), exchangeOf(ctx).body)
	}
	fail(w, r, err)
}

// isDecodeError reports whether grpc-gateway itself refused the request. Only its own
// statuses have no details.
func isDecodeError(err error) bool {
	st, ok := status.FromError(err)
	return ok && st.Code() == codes.InvalidArgument && len(st.Details()) == 0
}
