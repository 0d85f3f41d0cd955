package gateway

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// requestTimeout ends a unary request. A client may ask for less, by
// Grpc-Timeout, but not for more.
const requestTimeout = 30 * time.Second

// newREST returns the mux of every REST route: the generated ones, and over
// them those that grpc-gateway cannot serve (streams of events, exports,
// uploads, navigation).
func (g *Gateway) newREST() (*runtime.ServeMux, error) {
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newCodec()),
		runtime.WithErrorHandler(g.restError),
		runtime.WithRoutingErrorHandler(g.routingError),
		runtime.WithIncomingHeaderMatcher(incomingHeader),
		runtime.WithOutgoingHeaderMatcher(noHeader),
		runtime.WithOutgoingTrailerMatcher(noHeader),
		runtime.WithForwardResponseOption(answerHeaders),
		runtime.WithForwardResponseOption(g.setCookies),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithWriteContentLength(),
		runtime.WithMiddlewares(g.strict),
	)
	if err := g.bindServices(mux); err != nil {
		return nil, err
	}
	// The routes below replace generated ones of the same pattern: the mux
	// tries the newest first.
	routes := g.providerRoutes()
	maps.Copy(routes, map[string]runtime.HandlerFunc{
		"POST /v1/conversations/{conversation_id}/messages:stream": g.sendMessage(mux),
		"GET /v1/runs/{run_id}/events":                             g.watchRun(mux),
		"POST /v1/me:export":                                       g.export(mux),
		"POST " + uploadPattern:                                    g.upload(mux),
	})
	for pattern, handle := range routes {
		verb, path, _ := strings.Cut(pattern, " ")
		if err := mux.HandlePath(verb, path, handle); err != nil {
			return nil, err //nolint:wrapcheck // names the pattern itself
		}
	}
	return mux, nil
}

// bindServices registers the generated handlers of every public service.
func (g *Gateway) bindServices(mux *runtime.ServeMux) error {
	for _, s := range publicServices() {
		if s.register == nil {
			continue // none of its RPCs has a REST route
		}
		// The handlers would close the connection at the end of the context. It
		// belongs to the gateway, which closes it itself.
		if err := s.register(context.Background(), mux, g.backends[s.backend].conn); err != nil { //nolint:forbidigo // it must not end
			return fmt.Errorf("register %s: %w", s.name, err)
		}
	}
	return nil
}

// newCodec is the JSON of the API: protobuf's, with zero values, strict about
// what it does not know.
func newCodec() *runtime.HTTPBodyMarshaler {
	return &runtime.HTTPBodyMarshaler{Marshaler: &runtime.JSONPb{
		MarshalOptions:   protojson.MarshalOptions{EmitUnpopulated: true},
		UnmarshalOptions: protojson.UnmarshalOptions{},
	}}
}

// serveREST hands a request to the mux. HEAD is GET whose body net/http drops,
// except on a stream, which would stay open for nobody.
func (g *Gateway) serveREST(w http.ResponseWriter, r *http.Request) {
	r = r.Clone(r.Context())
	// The mux would append these to what it tells the services, as if we
	// vouched for them.
	r.Header.Del("X-Forwarded-For")
	r.Header.Del("X-Forwarded-Host")
	switch r.Method {
	case http.MethodHead:
		r.Method = http.MethodGet
		r = r.WithContext(context.WithValue(r.Context(), headKey{}, true))
	case http.MethodOptions:
		if allowed := g.allowed(r); allowed != "" {
			w.Header().Set("Allow", allowed)
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	g.rest.ServeHTTP(w, r)
}

// strict is what every matched REST request passes before its handler. It
// closes what grpc-gateway leaves open: other content types, unknown query
// parameters, trailing data, bodies without limit, calls without deadline.
func (g *Gateway) strict(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		route := g.matched(r)
		if p, probing := r.Context().Value(probeKey{}).(*probe); probing {
			p.matched, p.streams = true, route != nil && route.streams
			return
		}
		if route == nil {
			next(w, r, params) // an upload, which has rules of its own
			return
		}
		x := exchangeOf(r.Context())
		x.route, x.method = route.pattern, route.method
		if route.body != "*" {
			x.bodyField = route.body
		}
		defer x.release()
		timeout, err := g.checkRequest(w, r, route)
		if err == nil {
			err = checkPathIDs(route, x.body, params)
		}
		if err == nil {
			err = g.takeCookie(r, route)
		}
		if err != nil {
			g.fail(w, r, err)
			return
		}
		if !route.streams {
			ctx, cancel := context.WithTimeout(r.Context(), timeout)
			defer cancel()
			defer writeDeadline(w)()
			r = r.WithContext(ctx)
		}
		next(w, r, params)
	}
}

// checkRequest checks everything but what only the service knows, and returns
// how long the request may take.
func (g *Gateway) checkRequest(w http.ResponseWriter, r *http.Request, route *route) (time.Duration, error) {
	if r.Context().Value(headKey{}) != nil && route.streams {
		w.Header().Set("Allow", http.MethodGet)
		return 0, fault.New(faultv1.Reason_REASON_METHOD_NOT_ALLOWED, "a stream has no HEAD")
	}
	if err := refuseStranger(w, r, route.method); err != nil {
		return 0, err
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
	exchangeOf(r.Context()).releaseBody = g.bodies.count(r)
	return timeout, g.takeBody(w, r, route)
}

// timeoutOf reads and removes Grpc-Timeout, which grpc-gateway would obey
// whatever it says.
func timeoutOf(h http.Header) (time.Duration, error) {
	value := h.Get("Grpc-Timeout")
	h.Del("Grpc-Timeout")
	if value == "" {
		return requestTimeout, nil
	}
	asked, ok := parseTimeout(value)
	if !ok {
		return 0, fault.Invalid("Grpc-Timeout", "must be up to 8 digits and a unit of H, M, S, m, u or n")
	}
	return min(asked, requestTimeout), nil
}

// parseTimeout reads gRPC's spelling of a duration, for example "100m".
func parseTimeout(s string) (time.Duration, bool) {
	const maxDigits = 8
	if len(s) < 2 || len(s) > maxDigits+1 {
		return 0, false
	}
	units := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second,
		'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}
	unit, ok := units[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if !ok || err != nil {
		return 0, false
	}
	if n > uint64(math.MaxInt64/unit) { //nolint:gosec // both are positive
		return math.MaxInt64, true // 8 digits of hours do not fit
	}
	return time.Duration(n) * unit, true
}

// incomingHeader lets through what the services read. Authorization passes by
// itself; all else that a client sends ends here.
func incomingHeader(name string) (string, bool) {
	switch name {
	case "Idempotency-Key":
		return rpcserver.MetadataIdempotencyKey, true
	case "If-Match":
		return rpcserver.MetadataIfMatch, true
	default:
		return "", false
	}
}

func noHeader(string) (string, bool) { return "", false }

// answerHeaders sets what an answer says beside its body.
func answerHeaders(ctx context.Context, w http.ResponseWriter, message proto.Message) error {
	h := w.Header()
	md, _ := runtime.ServerMetadataFromContext(ctx)
	serviceHeaders(h, md.HeaderMD)
	if tag := etagOf(message); tag != "" {
		h.Set("ETag", tag)
	}
	if _, text := message.(*httpbody.HttpBody); text {
		// Never as what the client once said it was: a browser must not run it.
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Content-Disposition", `attachment; filename="document.txt"`)
	}
	return nil
}

// etagOf returns a resource's etag as HTTP quotes it.
func etagOf(message proto.Message) string {
	if message == nil {
		return ""
	}
	m := message.ProtoReflect()
	field := m.Descriptor().Fields().ByName("etag")
	if field == nil || field.Kind() != protoreflect.StringKind || field.IsList() {
		return ""
	}
	tag := m.Get(field).String()
	if tag == "" || strings.HasPrefix(tag, `"`) || strings.HasPrefix(tag, `W/"`) {
		return tag
	}
	return `"` + tag + `"`
}

// restError answers what a handler returned: a service's status, or the
// complaint of grpc-gateway's own decoder, which is explained anew.
func (g *Gateway) restError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler,
	w http.ResponseWriter, r *http.Request, err error,
) {
	md, _ := runtime.ServerMetadataFromContext(ctx)
	serviceHeaders(w.Header(), md.HeaderMD)
	w.Header().Del("ETag")
	if isDecodeError(err) {
		err = explain(g.matched(r), exchangeOf(ctx).body)
	}
	g.fail(w, r, err)
}

// isDecodeError tells whether grpc-gateway itself refused the request: only
// its own statuses carry no details.
func isDecodeError(err error) bool {
	st, ok := status.FromError(err)
	return ok && st.Code() == codes.InvalidArgument && len(st.Details()) == 0
}
