package gateway

import (
	"context"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// matched returns the route that the mux chose, or nil for one that no contract has.
func (t *table) matched(r *http.Request) *route {
	pattern, ok := runtime.HTTPPattern(r.Context())
	if !ok {
		return nil
	}
	return t.routes[r.Method+" "+strings.ReplaceAll(pattern.String(), "=*}", "}")]
}

// hasVerb reports whether any route ends with the verb of a path segment, such as
// ":cancel" in "{id}:cancel".
func (t *table) hasVerb(segment string) bool {
	verb := segment[strings.LastIndexByte(segment, ':'):]
	for _, r := range t.routes {
		if strings.HasSuffix(r.pattern, verb) {
			return true
		}
	}
	return strings.HasSuffix(uploadPattern, verb)
}

// routingError responds to a request that matches no route.
func (a *rest) routingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler,
	w http.ResponseWriter, r *http.Request, status int,
) {
	if _, probing := r.Context().Value(probeKey{}).(*probe); probing {
		return
	}
	last := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	// "{id}:verb" matches "{id}" too. No id contains a colon, so the text after one is a
	// verb. When no route has that verb, the path does not exist.
	if status != http.StatusMethodNotAllowed || strings.Contains(last, ":") && !a.table.hasVerb(last) {
		fail(w, r, fault.New(faultv1.Reason_REASON_ROUTE_NOT_FOUND, "no route has this path"))
		return
	}
	allowed := a.allowed(r)
	w.Header().Set("Allow", allowed)
	fail(w, r, fault.New(faultv1.Reason_REASON_METHOD_NOT_ALLOWED, "this path has %s", allowed))
}

// headKey marks a HEAD request, which the mux handles as GET.
type headKey struct{}

type probeKey struct{}

// probe finds out whether a route matches, without calling its handler.
type probe struct{ matched, streams bool }

// allowed returns the methods of a path, for the Allow header.
func (a *rest) allowed(r *http.Request) string {
	var methods []string
	for _, verb := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		p := &probe{}
		attempt := r.WithContext(context.WithValue(r.Context(), probeKey{}, p))
		attempt.Method = verb
		a.mux.ServeHTTP(discard{}, attempt)
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

// discard is a response writer that drops the response.
type discard struct{}

// Header implements [http.ResponseWriter].
func (discard) Header() http.Header { return http.Header{} }

// Write implements [http.ResponseWriter].
func (discard) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements [http.ResponseWriter].
func (discard) WriteHeader(int) {}
