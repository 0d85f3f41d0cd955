// Package lifecycle starts the parts of a process in order and stops them in
// the opposite order.
//
// A process is first built, by code that may fail and then unwinds the stack. Then it is
// run: each part gets its own context. When the process must stop, or a part fails, the
// parts stop one after the other, beginning with the part that was added last. So the
// gateway stops to accept requests before the services stop, and the pools close last.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// stopTimeout bounds how long one part may take to stop.
const stopTimeout = 30 * time.Second

// Stack is a stack of parts. The zero value is not usable; see [New].
type Stack struct {
	log   *slog.Logger
	parts []part
}

type part struct {
	name  string
	run   func(context.Context) error
	close func()
}

// New returns an empty stack.
func New(log *slog.Logger) *Stack { return &Stack{log: log} }

// Add adds a part that runs until its context ends. The part may return earlier only with
// an error.
func (s *Stack) Add(name string, run func(ctx context.Context) error) {
	s.parts = append(s.parts, part{name: name, run: run})
}

// Defer adds a function that runs when all parts that were added later have stopped.
func (s *Stack) Defer(name string, closer func()) {
	s.parts = append(s.parts, part{name: name, close: closer})
}

// Unwind runs the deferred functions. It is for a process that could not be built.
func (s *Stack) Unwind() {
	for i := len(s.parts) - 1; i >= 0; i-- {
		if s.parts[i].close != nil {
			s.parts[i].close()
		}
	}
}

// running is a running part.
type running struct {
	part
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// Run runs every part until ctx ends or a part fails. Then it stops all parts and returns
// their errors.
func (s *Stack) Run(ctx context.Context) error {
	failed := make(chan *running, len(s.parts))
	started := make([]*running, 0, len(s.parts))
	for _, p := range s.parts {
		r := &running{part: p, done: make(chan struct{})}
		started = append(started, r)
		if p.run == nil {
			close(r.done)
			continue
		}
		// The contexts are not children of ctx, so that the parts stop one after the other.
		partCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		r.cancel = cancel
		go func() {
			defer close(r.done)
			r.err = r.run(partCtx)
			if partCtx.Err() == nil {
				failed <- r
			}
		}()
	}
	var cause error
	select {
	case <-ctx.Done():
	case r := <-failed:
		cause = fmt.Errorf("%s ended: %w", r.name, orEnded(r.err))
	}
	return errors.Join(cause, s.stop(started))
}

func orEnded(err error) error {
	if err == nil {
		return errors.New("without a request to stop")
	}
	return err
}

// stop stops the parts, the last one first.
func (s *Stack) stop(started []*running) error {
	var problems []error
	for i := len(started) - 1; i >= 0; i-- {
		r := started[i]
		if r.cancel != nil {
			problems = append(problems, s.stopOne(r))
		}
		if r.close != nil {
			r.close()
		}
	}
	return errors.Join(problems...)
}

func (s *Stack) stopOne(r *running) error {
	r.cancel()
	timer := clock.System().NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C():
		return fmt.Errorf("%s did not stop in %s", r.name, stopTimeout)
	}
	s.log.Debug("stopped", "part", r.name)
	if r.err != nil && !errors.Is(r.err, context.Canceled) {
		return fmt.Errorf("%s: %w", r.name, r.err)
	}
	return nil
}
