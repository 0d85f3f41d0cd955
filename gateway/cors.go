package gateway

import (
	"net/http"
	"strings"

	"github.com/gatehouse/gatehouse/gateway/site"
)

// What pages of a listed origin may send and read. Clients of gRPC-Web and Connect need
// the headers of gRPC.
const (
	corsMethods = "GET, POST, PATCH, DELETE, PUT, HEAD"
	corsRequest = "authorization, content-type, connect-protocol-version, connect-timeout-ms, grpc-timeout, " +
		"x-grpc-web, x-user-agent, idempotency-key, if-match, last-event-id, traceparent, x-request-id, x-gatehouse-csrf"
	corsExpose = "grpc-status, grpc-message, grpc-status-details-bin, x-request-id, etag, retry-after, " +
		"ratelimit, ratelimit-policy, idempotency-replayed, www-authenticate, content-disposition"
	// corsMaxAge is the longest that a browser keeps a preflight.
	corsMaxAge = "7200"
)

// origins are the origins whose pages may call the API.
type origins map[string]bool

func newOrigins(listed []string) origins {
	out := origins{}
	for _, origin := range listed {
		out[origin] = true
	}
	return out
}

// cors is a link that lets pages of the listed origins call the API. It never sends "*".
// For other origins it sends no CORS header, and the browser keeps the response from the
// page.
//
// Cookies are allowed where the refresh cookie is sent, below /v1/auth, and for exactly
// the listed origins (decision 0018). On all other routes the code of the page sends a
// bearer token, which a page of another origin does not have.
func (o origins) cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		listed := o[origin]
		if listed {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", corsExpose)
			if strings.HasPrefix(r.URL.Path, site.AuthPath+"/") {
				h.Set("Access-Control-Allow-Credentials", "true")
			}
		}
		if r.Method != http.MethodOptions || origin == "" || r.Header.Get("Access-Control-Request-Method") == "" {
			next.ServeHTTP(w, r)
			return
		}
		h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
		if listed {
			h.Set("Access-Control-Allow-Methods", corsMethods)
			h.Set("Access-Control-Allow-Headers", corsRequest)
			h.Set("Access-Control-Max-Age", corsMaxAge)
		}
		exchangeOf(r.Context()).route = "preflight"
		w.WriteHeader(http.StatusNoContent)
	})
}
