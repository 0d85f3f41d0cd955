package gateway

import (
	"fmt"
	"net/http"

	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/limit"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	headerRateLimit       = "RateLimit"
	headerRateLimitPolicy = "RateLimit-Policy"
)

// limitAddress returns a link that limits the requests of each client address, before
// the caller is authenticated. Each response states how much is left. A service, which
// counts by caller, replaces that.
func limitAddress(quota limit.Quota) (link, error) {
	limiter, err := limit.New(quota)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	policy := limiter.PolicyHeader()
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			decision := limiter.Allow(r.Context(), limitKey(exchangeOf(r.Context()).client))
			w.Header().Set(headerRateLimitPolicy, policy)
			w.Header().Set(headerRateLimit, limiter.Header(decision))
			if !decision.Allowed {
				fail(w, r, fault.New(faultv1.Reason_REASON_RATE_LIMITED,
					"more than %d requests in a minute from this address", quota.PerMinute).
					WithRetryAfter(decision.RetryAfter))
				return
			}
			next.ServeHTTP(w, r)
		})
	}, nil
}

// serviceHeaders copies the metadata of a service that clients may see to the headers
// of a response. All other metadata is dropped.
func serviceHeaders(h http.Header, md metadata.MD) {
	for name, header := range map[string]string{
		rpcserver.MetadataRateLimit:       headerRateLimit,
		rpcserver.MetadataRateLimitPolicy: headerRateLimitPolicy,
		"etag":                            "ETag",
		"idempotency-replayed":            "Idempotency-Replayed",
	} {
		if values := md.Get(name); len(values) > 0 {
			h.Set(header, values[0])
		}
	}
}
