package model

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tmc/langchaingo/llms"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// probeTimeout bounds a probe in the background.
	probeTimeout = 10 * time.Second
	// probesPerPause is how many background probes run within a pause.
	probesPerPause = 5
)

// Breaker counts a provider's failures and, after too many in a row, refuses calls
// for a while: waiting for a provider that is down costs every caller its patience,
// and the provider its recovery.
//
// While it is open, [Breaker.Watch] probes the provider in the background, and closes
// it when the provider responds again, so no caller has to be the probe. Without a
// watch, one caller is let through as a probe after each pause. Either way, the first
// token of an answer closes it, because a whole answer may take a minute.
//
// One Breaker belongs to one provider, shared by all of its models. It is safe for
// concurrent use.
type Breaker struct {
	provider  string
	threshold int
	pause     time.Duration
	clock     clock.Clock
	opened    chan struct{} // wakes the watch

	mu       sync.Mutex
	failures int
	openTill time.Time
	watched  bool
	probing  bool
	closings int   // how often it has closed
	failed   Model // the model of the latest failure, which a probe calls
}

var (
	// errUnknown is the outcome of a call that did not return.
	errUnknown = errors.New("the call did not return")
	// errAlive ends a probe that has seen a token.
	errAlive = errors.New("the provider answers")
)

// NewBreaker makes a breaker that opens for the pause after threshold failures in a
// row.
func NewBreaker(provider string, threshold int, pause time.Duration, c clock.Clock) *Breaker {
	return &Breaker{provider: provider, threshold: threshold, pause: pause, clock: c, opened: make(chan struct{}, 1)}
}

// Open says whether calls are refused now: readiness shows it as degraded.
func (b *Breaker) Open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.isOpen()
}

func (b *Breaker) isOpen() bool { return b.failures >= b.threshold }

// Watch probes the provider whenever the breaker is open, until ctx ends.
func (b *Breaker) Watch(ctx context.Context) {
	b.setWatched(true)
	defer b.setWatched(false)
	for {
		select {
		case <-b.opened:
		case <-ctx.Done():
			return
		}
		for b.Open() {
			if clock.Sleep(ctx, b.clock, b.pause/probesPerPause) != nil {
				return
			}
			if b.probe(ctx) {
				b.alive()
			}
		}
	}
}

func (b *Breaker) setWatched(watched bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watched = watched
}

// probe makes the smallest possible call to the model that failed last, and reports
// whether the provider responded at all: a response that refuses the request also shows
// that the provider is back.
func (b *Breaker) probe(ctx context.Context) (reacts bool) {
	b.mu.Lock()
	m := b.failed
	b.mu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	defer func() {
		if recover() != nil {
			reacts = false // a probe that panics counts as failed, and ends nothing else
		}
	}()
	token := false
	_, err := m.Stream(bounded, Request{
		Messages: []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "ping")}, MaxTokens: 1,
	}, func(Delta) error {
		token = true
		return errAlive
	})
	return token || bounded.Err() == nil && !unhealthy(err)
}

// ticket is a call that was let through.
type ticket struct {
	probe    bool
	closings int
}

// enter refuses, or lets a call through and says whether it is the probe, whose
// outcome decides.
func (b *Breaker) enter() (ticket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.isOpen() {
		return ticket{closings: b.closings}, nil
	}
	wait := b.openTill.Sub(b.clock.Now())
	if b.watched {
		wait = b.pause / probesPerPause
	}
	if wait > 0 || b.probing {
		return ticket{}, fault.New(faultv1.Reason_REASON_PROVIDER_UNAVAILABLE,
			"The model provider %q has failed repeatedly and is being given a pause.", b.provider).WithRetryAfter(max(wait, time.Second))
	}
	b.probing = true
	return ticket{probe: true, closings: b.closings}, nil
}

// alive records that the provider has begun to respond. It closes an open breaker;
// otherwise the end of the call decides.
func (b *Breaker) alive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isOpen() {
		b.shut()
	}
}

func (b *Breaker) shut() {
	b.failures, b.openTill = 0, time.Time{}
	b.closings++
}

// leave records the outcome. Only the provider's own failures count: a rejected request
// or a caller who went away says nothing about its health. Nor does a call that began
// before the breaker last closed: its failure belongs to an outage that is over.
func (b *Breaker) leave(m Model, t ticket, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.probe {
		b.probing = false
	}
	switch {
	case err == nil && b.isOpen():
		b.shut()
	case err == nil:
		b.failures = 0
	case unhealthy(err) && t.closings == b.closings:
		b.fail(m, t.probe)
	}
}

func (b *Breaker) fail(m Model, probe bool) {
	before := b.isOpen()
	b.failures++
	b.failed = m
	if !b.isOpen() || before && !probe {
		return // calls that end late do not lengthen the pause
	}
	b.openTill = b.clock.Now().Add(b.pause)
	select {
	case b.opened <- struct{}{}:
	default:
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
	t, err := g.breaker.enter()
	if err != nil {
		return Result{Model: g.Name()}, err
	}
	// A probe that panics ends too, or there would never be another one.
	err = errUnknown
	defer func() { g.breaker.leave(g.Model, t, err) }()
	begun := false
	return g.Model.Stream(ctx, req, func(d Delta) error {
		if !begun {
			begun = true
			g.breaker.alive()
		}
		return emit(d)
	})
}
