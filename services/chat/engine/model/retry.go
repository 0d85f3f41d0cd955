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

// ErrPermanent marks a failure, in the causes of its fault, that a retry cannot fix although
// its reason is usually temporary: an exhausted quota, for example.
var ErrPermanent = errors.New("permanent")

// RetryPolicy sets how many retries there are and how long they wait.
type RetryPolicy struct {
	// Tries is the total number of calls.
	Tries int
	// Base is the first wait. It doubles each time, and half of it is jitter.
	Base time.Duration
	// MaxWait bounds each wait. When a provider requests a longer wait with Retry-After,
	// there is no retry, and the fault has the time.
	MaxWait time.Duration
}

// DefaultRetry returns a policy of three calls, within a time that a user still waits.
func DefaultRetry() RetryPolicy {
	return RetryPolicy{Tries: 3, Base: 250 * time.Millisecond, MaxWait: 10 * time.Second}
}

// WithRetry returns a model that repeats a call that has failed for a temporary reason before
// any text was visible. After a reader has seen a token there is no retry, because the second
// attempt would write another text.
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

// Next returns, after a failed attempt, how long to wait before the next one, and reports
// whether there should be one. There is none after the last attempt, after a failure that a
// retry cannot fix, and when the provider requests a wait longer than MaxWait.
func (p RetryPolicy) Next(try int, err error) (time.Duration, bool) {
	retryAfter := fault.From(err).RetryAfter()
	if try >= p.Tries || !Retryable(err) || retryAfter > p.MaxWait {
		return 0, false
	}
	backoff := min(p.Base<<(try-1), p.MaxWait)
	// With jitter, callers that have failed at the same time do not retry at the same time.
	backoff = backoff/2 + rand.N(backoff/2+1) //nolint:gosec // only spreads the attempts
	return max(backoff, retryAfter), true
}

// Retryable reports whether a failed call may succeed when it is repeated.
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
