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

// Breaker counts the failures of a provider. After too many in a row it is open: it refuses
// calls for a pause. Otherwise every caller would wait for a provider that is down, and the
// calls would delay its recovery.
//
// While it is open, [Breaker.Watch] probes the provider in the background, and closes the
// breaker when the provider responds again. So no caller has to be the probe. Without Watch,
// the first call after each pause is the probe. In both cases the first token of an answer
// closes the breaker, because a whole answer may take a minute.
//
// All models of a provider share one Breaker. It is safe for concurrent use: mu guards the
// fields below it, and is not held during a call.
type Breaker struct {
	provider  string
	threshold int
	pause     time.Duration
	clock     clock.Clock
	opened    chan struct{} // wakes Watch

	mu       sync.Mutex
	failures int
	openTill time.Time
	watched  bool
	probing  bool
	closings int   // how many times it has closed
	failed   Model // the model of the latest failure, which a probe calls
}

var (
	// errUnknown is the outcome of a call that did not return.
	errUnknown = errors.New("the call did not return")
	// errAlive ends a probe that has received a token.
	errAlive = errors.New("the provider responds")
)

// NewBreaker returns a breaker that opens for the pause after threshold failures in a row.
func NewBreaker(provider string, threshold int, pause time.Duration, c clock.Clock) *Breaker {
	return &Breaker{provider: provider, threshold: threshold, pause: pause, clock: c, opened: make(chan struct{}, 1)}
}

// Open reports whether calls are refused now. Readiness then shows the model as degraded.
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

// probe makes the smallest possible call to the model that failed last, and reports whether
// the provider has responded. A response that refuses the request also shows that the
// provider is available.
func (b *Breaker) probe(ctx context.Context) (responds bool) {
	b.mu.Lock()
	m := b.failed
	b.mu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	defer func() {
		if recover() != nil {
			responds = false // a probe that panics has failed; it must not end the process
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

// admission is a call that was not refused.
type admission struct {
	probe    bool
	closings int
}

// enter refuses or admits a call. The admission reports whether the call is the probe, whose
// outcome decides.
func (b *Breaker) enter() (admission, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.isOpen() {
		return admission{closings: b.closings}, nil
	}
	wait := b.openTill.Sub(b.clock.Now())
	if b.watched {
		wait = b.pause / probesPerPause
	}
	if wait > 0 || b.probing {
		return admission{}, fault.New(faultv1.Reason_REASON_PROVIDER_UNAVAILABLE,
			"The model provider %q has failed repeatedly and is being given a pause.", b.provider).WithRetryAfter(max(wait, time.Second))
	}
	b.probing = true
	return admission{probe: true, closings: b.closings}, nil
}

// alive records that the provider has started to respond. It closes an open breaker. When the
// breaker is closed, the end of the call decides.
func (b *Breaker) alive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isOpen() {
		b.close()
	}
}

// close closes the breaker. The caller holds mu.
func (b *Breaker) close() {
	b.failures, b.openTill = 0, time.Time{}
	b.closings++
}

// leave records the outcome of a call. Only failures of the provider count, not a rejected
// request or a call that the caller has canceled. A call that started before the breaker last
// closed does not count either: its failure belongs to an earlier outage.
func (b *Breaker) leave(m Model, a admission, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.probe {
		b.probing = false
	}
	switch {
	case err == nil && b.isOpen():
		b.close()
	case err == nil:
		b.failures = 0
	case unhealthy(err) && a.closings == b.closings:
		b.fail(m, a.probe)
	}
}

func (b *Breaker) fail(m Model, probe bool) {
	before := b.isOpen()
	b.failures++
	b.failed = m
	if !b.isOpen() || before && !probe {
		return // calls that end late do not extend the pause
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

// WithBreaker returns a model whose calls the provider's breaker may refuse.
func WithBreaker(m Model, b *Breaker) Model { return &guarded{Model: m, breaker: b} }

type guarded struct {
	Model
	breaker *Breaker
}

func (g *guarded) Stream(ctx context.Context, req Request, emit func(Delta) error) (result Result, err error) {
	a, err := g.breaker.enter()
	if err != nil {
		return Result{Model: g.Name()}, err
	}
	// A probe that panics must end too. Otherwise there would be no other probe.
	err = errUnknown
	defer func() { g.breaker.leave(g.Model, a, err) }()
	begun := false
	return g.Model.Stream(ctx, req, func(d Delta) error {
		if !begun {
			begun = true
			g.breaker.alive()
		}
		return emit(d)
	})
}
