package gateway

import (
	"context"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// matched returns the route that the mux chose.
func (g *Gateway) matched(r *http.Request) *route {
	pattern, ok := runtime.HTTPPattern(r.Context())
	if !ok {
		return nil
	}
	return g.table.routes[r.Method+" "+strings.ReplaceAll(pattern.String(), "=*}", "}")]
}

// routingError answers what no route took.
func (g *Gateway) routingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler,
	w http.ResponseWriter, r *http.Request, status int,
) {
	if _, probing := r.Context().Value(probeKey{}).(*probe); probing {
		return
	}
	last := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	// "{id}:verb" matches "{id}" too. No id holds a colon, so what follows one
	// is a verb that does not exist, and not a method that is not allowed.
	if status != http.StatusMethodNotAllowed || strings.Contains(last, ":") && !g.hasVerb(last) {
		g.fail(w, r, fault.New(faultv1.Reason_REASON_ROUTE_NOT_FOUND, "no route has this path"))
		return
	}
	allowed := g.allowed(r)
	w.Header().Set("Allow", allowed)
	g.fail(w, r, fault.New(faultv1.Reason_REASON_METHOD_NOT_ALLOWED, "this path has %s", allowed))
}

// hasVerb tells whether any route ends in the verb of a path's last segment.
func (g *Gateway) hasVerb(segment string) bool {
	verb := segment[strings.LastIndexByte(segment, ':'):]
	for _, r := range g.table.routes {
		if strings.HasSuffix(r.pattern, verb) {
			return true
		}
	}
	return strings.HasSuffix(uploadPattern, verb)
}

// headKey marks a HEAD request, which the routes see as GET.
type headKey struct{}

type probeKey struct{}

// probe asks the mux whether a route matches, without running it.
type probe struct{ matched, streams bool }

// allowed lists the methods that a path has.
func (g *Gateway) allowed(r *http.Request) string {
	var methods []string
	for _, verb := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		p := &probe{}
		asked := r.WithContext(context.WithValue(r.Context(), probeKey{}, p))
		asked.Method = verb
		g.rest.ServeHTTP(discard{}, asked)
		if !p.matched {
			continue
		}
		methods = append(methods, verb)
		if verb == http.MethodGet && !p.streams { // a stream has no HEAD
			methods = append(methods, http.MethodHead)
		}
	}
	return strings.Join(methods, ", ")
}

// discard is an answer that nobody reads.
type discard struct{}

// Header implements [http.ResponseWriter].
func (discard) Header() http.Header { return http.Header{} }

// Write implements [http.ResponseWriter].
func (discard) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements [http.ResponseWriter].
func (discard) WriteHeader(int) {}
