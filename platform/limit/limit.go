// Package limit limits rates by the generic cell rate algorithm (GCRA): a
// steady rate with a burst on top, in constant space per key.
//
// Counts are kept in this process, for a bounded number of keys: the keys
// least recently used are forgotten first, which can only ever allow more.
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

// Quota is how often something may happen.
type Quota struct {
	// Name tells the quota in answers, for example "read".
	Name string
	// PerMinute is the steady rate.
	PerMinute int
	// Burst is how many may come at once on top.
	Burst int
}

// Decision is the answer to one request.
type Decision struct {
	// Allowed tells whether the request is within the quota.
	Allowed bool
	// Remaining is how many more may come right now.
	Remaining int
	// ResetAfter is how long until the whole burst is free again.
	ResetAfter time.Duration
	// RetryAfter is how long to wait when not allowed.
	RetryAfter time.Duration
}

// Limiter limits by key. It is safe for concurrent use.
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

// Quota returns what the limiter allows.
func (l *Limiter) Quota() Quota { return l.quota }

// Allow counts one request of a key and decides on it. A limiter that cannot
// decide allows: a broken counter must not take the service down.
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

// GiveBack takes back one request that [Limiter.Allow] counted: for limits on
// what fails, which is known only later.
func (l *Limiter) GiveBack(ctx context.Context, key string) {
	// One that cannot be taken back is forgotten with time, as all are.
	_, _, _ = l.gcra.RateLimitCtx(ctx, key, -1)
}

// PolicyHeader is the value of RateLimit-Policy (IETF
// draft-ietf-httpapi-ratelimit-headers).
func (l *Limiter) PolicyHeader() string {
	return fmt.Sprintf("%q;q=%d;w=60", l.quota.Name, l.quota.PerMinute)
}

// Header is the value of RateLimit for a decision.
func (l *Limiter) Header(d Decision) string {
	return fmt.Sprintf("%q;r=%d;t=%d", l.quota.Name, d.Remaining, int(d.ResetAfter.Seconds()+0.999))
}
