package model

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// ErrPermanent marks, in a fault's chain of causes, a failure that a retry cannot
// mend although its reason is usually temporary: a spent quota, for example.
var ErrPermanent = errors.New("permanent")

// RetryPolicy says how often and how patiently to try again.
type RetryPolicy struct {
	// Tries is the number of calls in all.
	Tries int
	// Base is the first wait; it doubles, and half of it is jitter.
	Base time.Duration
	// MaxWait bounds each wait. A provider that asks for longer by Retry-After is not
	// waited for: the caller learns the time instead.
	MaxWait time.Duration
}

// DefaultRetry tries three times within a time that a person still waits.
func DefaultRetry() RetryPolicy {
	return RetryPolicy{Tries: 3, Base: 250 * time.Millisecond, MaxWait: 10 * time.Second}
}

// WithRetry repeats a call that failed for a passing reason before any text was
// visible. Once the reader has seen a token nothing is repeated, because the second
// attempt would tell another story.
func WithRetry(m Model, policy RetryPolicy, c clock.Clock) Model {
	return &retrying{Model: m, policy: policy, clock: c}
}

type retrying struct {
	Model
	policy RetryPolicy
	clock  clock.Clock
}

func (r *retrying) Stream(ctx context.Context, req Request, emit func(Delta) error) (Result, error) {
	var spent Usage
	for try := 1; ; try++ {
		visible := false
		result, err := r.Model.Stream(ctx, req, func(d Delta) error {
			visible = true
			return emit(d)
		})
		result.Usage = result.Usage.Add(spent)
		if err == nil || visible {
			return result, err
		}
		wait, again := r.policy.Next(try, err)
		if !again {
			return result, err
		}
		spent = result.Usage
		if sleepErr := clock.Sleep(ctx, r.clock, wait); sleepErr != nil {
			return result, fault.From(sleepErr)
		}
	}
}

// Next says, after a failed try, how long to wait before the next one, and whether there
// should be one: not after the last, not for what a retry cannot mend, and not when the
// provider asks for more patience than the policy has.
func (p RetryPolicy) Next(try int, err error) (time.Duration, bool) {
	retryAfter := fault.From(err).RetryAfter()
	if try >= p.Tries || !Retryable(err) || retryAfter > p.MaxWait {
		return 0, false
	}
	backoff := min(p.Base<<(try-1), p.MaxWait)
	// Jitter keeps the callers that failed together from coming back together.
	backoff = backoff/2 + rand.N(backoff/2+1) //nolint:gosec // only spreads the attempts
	return max(backoff, retryAfter), true
}

// Retryable says whether a failed call may succeed when it is repeated.
func Retryable(err error) bool {
	if errors.Is(err, ErrPermanent) {
		return false
	}
	switch fault.ReasonOf(err) {
	case faultv1.Reason_REASON_PROVIDER_UNAVAILABLE, faultv1.Reason_REASON_PROVIDER_RATE_LIMITED, faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM:
		return true
	default:
		return false
	}
}
