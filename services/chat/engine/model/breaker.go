package model

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Breaker counts a provider's failures and, after too many in a row, refuses calls
// for a while: waiting for a provider that is down costs every caller its patience,
// and the provider its recovery. After the pause one call is let through as a probe;
// its outcome opens or closes the breaker.
//
// One Breaker belongs to one provider, shared by all of its models. It is safe for
// concurrent use.
type Breaker struct {
	provider  string
	threshold int
	pause     time.Duration
	clock     clock.Clock

	mu       sync.Mutex
	failures int
	openTill time.Time
	probing  bool
}

// errUnknown is the outcome of a call that did not return.
var errUnknown = errors.New("the call did not return")

// NewBreaker makes a breaker that opens for the pause after threshold failures in a
// row.
func NewBreaker(provider string, threshold int, pause time.Duration, c clock.Clock) *Breaker {
	return &Breaker{provider: provider, threshold: threshold, pause: pause, clock: c}
}

// Open says whether calls are refused now: readiness shows it as degraded.
func (b *Breaker) Open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures >= b.threshold
}

// enter refuses, or lets a call through and says whether it is the probe, whose
// outcome decides.
func (b *Breaker) enter() (probe bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < b.threshold {
		return false, nil
	}
	wait := b.openTill.Sub(b.clock.Now())
	if wait > 0 || b.probing {
		return false, fault.New(faultv1.Reason_REASON_PROVIDER_UNAVAILABLE,
			"The model provider %q has failed repeatedly and is being given a pause.", b.provider).WithRetryAfter(max(wait, time.Second))
	}
	b.probing = true
	return true, nil
}

// leave records the outcome. Only the provider's own failures count: a rejected
// request or a caller who went away says nothing about its health.
func (b *Breaker) leave(probe bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	switch {
	case err == nil:
		b.failures = 0
	case unhealthy(err):
		b.failures++
		if b.failures >= b.threshold {
			b.openTill = b.clock.Now().Add(b.pause)
		}
	}
}

func unhealthy(err error) bool {
	switch fault.ReasonOf(err) {
	case faultv1.Reason_REASON_PROVIDER_UNAVAILABLE, faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM, faultv1.Reason_REASON_DEADLINE_EXCEEDED:
		return true
	default:
		return false
	}
}

// WithBreaker guards a model with its provider's breaker.
func WithBreaker(m Model, b *Breaker) Model { return &guarded{Model: m, breaker: b} }

type guarded struct {
	Model
	breaker *Breaker
}

func (g *guarded) Stream(ctx context.Context, req Request, emit func(Delta) error) (result Result, err error) {
	probe, err := g.breaker.enter()
	if err != nil {
		return Result{Model: g.Name()}, err
	}
	// A probe that panics ends too, or there would never be another one.
	err = errUnknown
	defer func() { g.breaker.leave(probe, err) }()
	return g.Model.Stream(ctx, req, emit)
}
