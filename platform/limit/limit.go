// Package limit limits rates with the generic cell rate algorithm (GCRA): a steady rate
// and an additional burst, in constant space for each key.
//
// The counts are in the memory of this process, for a bounded number of keys. The least
// recently used keys are dropped first. A dropped key can only allow more requests.
package limit

import (
	"context"
	"fmt"
	"time"

	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
)

// maxKeys bounds the memory of one limiter, at about 100 bytes a key.
const maxKeys = 65536

// Quota is the limit of a rate.
type Quota struct {
	// Name is the name of the quota in response headers, for example "read".
	Name string
	// PerMinute is the steady rate.
	PerMinute int
	// Burst is how many additional requests may be made at once.
	Burst int
}

// Decision is the decision about one request.
type Decision struct {
	// Allowed reports whether the request is within the quota.
	Allowed bool
	// Remaining is how many more requests may be made now.
	Remaining int
	// ResetAfter is the time until the whole burst is available again.
	ResetAfter time.Duration
	// RetryAfter is the time to wait when the request is not allowed.
	RetryAfter time.Duration
}

// Limiter limits requests by key. It is safe for concurrent use.
type Limiter struct {
	quota Quota
	gcra  *throttled.GCRARateLimiterCtx
}

// New returns a limiter for a quota.
func New(quota Quota) (*Limiter, error) {
	store, err := memstore.NewCtx(maxKeys)
	if err != nil {
		return nil, fmt.Errorf("limit %s: %w", quota.Name, err)
	}
	gcra, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{
		MaxRate:  throttled.PerMin(quota.PerMinute),
		MaxBurst: quota.Burst,
	})
	if err != nil {
		return nil, fmt.Errorf("limit %s: %w", quota.Name, err)
	}
	return &Limiter{quota: quota, gcra: gcra}, nil
}

// Quota returns the quota of the limiter.
func (l *Limiter) Quota() Quota { return l.quota }

// Allow counts one request of a key and decides on it. When the count fails, it allows
// the request, because a broken counter must not make the service unavailable.
func (l *Limiter) Allow(ctx context.Context, key string) Decision {
	limited, result, err := l.gcra.RateLimitCtx(ctx, key, 1)
	if err != nil {
		return Decision{Allowed: true}
	}
	return Decision{
		Allowed:    !limited,
		Remaining:  result.Remaining,
		ResetAfter: result.ResetAfter,
		RetryAfter: max(result.RetryAfter, 0),
	}
}

// Refund removes one request that [Limiter.Allow] counted. It is for limits on failed
// requests: only after the request is it known whether it failed.
func (l *Limiter) Refund(ctx context.Context, key string) {
	// When this fails, the request still leaves the count with time.
	_, _, _ = l.gcra.RateLimitCtx(ctx, key, -1)
}

// PolicyHeader returns the value of RateLimit-Policy (IETF
// draft-ietf-httpapi-ratelimit-headers).
func (l *Limiter) PolicyHeader() string {
	return fmt.Sprintf("%q;q=%d;w=60", l.quota.Name, l.quota.PerMinute)
}

// Header returns the value of RateLimit for a decision.
func (l *Limiter) Header(d Decision) string {
	return fmt.Sprintf("%q;r=%d;t=%d", l.quota.Name, d.Remaining, int(d.ResetAfter.Seconds()+0.999))
}
