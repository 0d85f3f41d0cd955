package rpcserver

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/limit"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Response metadata in which a service returns the caller's limit to the gateway.
const (
	// MetadataRateLimit becomes the RateLimit header.
	MetadataRateLimit = "x-gatehouse-ratelimit"
	// MetadataRateLimitPolicy becomes the RateLimit-Policy header.
	MetadataRateLimitPolicy = "x-gatehouse-ratelimit-policy"
)

// quotas are the limits of one user. A person with a busy client stays far below them.
var quotas = map[authz.Class]limit.Quota{ //nolint:gochecknoglobals // a constant table
	authz.ClassRead:  {Name: "read", PerMinute: 3000, Burst: 300},
	authz.ClassWrite: {Name: "write", PerMinute: 600, Burst: 100},
	authz.ClassModel: {Name: "model", PerMinute: 60, Burst: 30},
}

// maxStreams is the number of streams that one user may have open at this server. The
// gateway counts by address and by the user that a token claims, before it is verified.
// This server counts by the verified user.
const maxStreams = 100

// limits counts calls by caller and class, and open streams by caller.
type limits struct {
	byClass map[authz.Class]*limit.Limiter
	enabled bool

	mu      sync.Mutex
	streams map[string]int
}

func newLimits(enabled bool) (*limits, error) {
	l := &limits{byClass: map[authz.Class]*limit.Limiter{}, enabled: enabled, streams: map[string]int{}}
	if !enabled {
		return l, nil
	}
	var problems []error
	for class, quota := range quotas {
		limiter, err := limit.New(quota)
		l.byClass[class] = limiter
		problems = append(problems, err)
	}
	return l, errors.Join(problems...)
}

// take counts one call of the user in ctx. The gateway limits calls without a user by
// address. Calls between services have no limit.
func (l *limits) take(ctx context.Context, class authz.Class) error {
	principal, ok := identity.FromContext(ctx)
	limiter := l.byClass[class]
	if !ok || limiter == nil {
		return nil
	}
	decision := limiter.Allow(ctx, principal.UserID)
	if decision.Allowed && authorizeOnly(ctx) {
		limiter.Refund(ctx, principal.UserID) // only the call that follows counts
	}
	// SetHeader fails only outside of a call, where there is no client.
	_ = grpc.SetHeader(ctx, metadata.Pairs(
		MetadataRateLimit, limiter.Header(decision), MetadataRateLimitPolicy, limiter.PolicyHeader()))
	if decision.Allowed {
		return nil
	}
	return fault.New(faultv1.Reason_REASON_RATE_LIMITED,
		"more than %d calls of the class %q in a minute", limiter.Quota().PerMinute, class).
		WithRetryAfter(decision.RetryAfter)
}

// openStream counts an open stream of the user in ctx. The caller must call leave when
// the stream ends.
func (l *limits) openStream(ctx context.Context) (leave func(), err error) {
	principal, ok := identity.FromContext(ctx)
	if !ok || !l.enabled {
		return func() {}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams[principal.UserID] >= maxStreams {
		return nil, fault.New(faultv1.Reason_REASON_RATE_LIMITED, "more than %d open streams", maxStreams).WithRetryAfter(time.Second)
	}
	l.streams[principal.UserID]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.streams[principal.UserID]--; l.streams[principal.UserID] == 0 {
			delete(l.streams, principal.UserID)
		}
	}, nil
}
