// Package lifecycle starts the parts of a process in order and stops them in
// the opposite order.
//
// A process is first built, by code that may fail and unwinds what it opened,
// and then run: each part gets a context of its own, and when the process is
// told to stop, or a part fails, the part added last is stopped first and
// waited for before the next. So the gateway stops taking requests before the
// services stop, and the pools close last.
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

// Add puts a part on the stack that runs until its context ends. It may
// return early only with an error.
func (s *Stack) Add(name string, run func(ctx context.Context) error) {
	s.parts = append(s.parts, part{name: name, run: run})
}

// Defer puts something on the stack that is only closed, when everything added
// after it has stopped.
func (s *Stack) Defer(name string, closer func()) {
	s.parts = append(s.parts, part{name: name, close: closer})
}

// Unwind closes what was deferred, for a process that failed to build.
func (s *Stack) Unwind() {
	for i := len(s.parts) - 1; i >= 0; i-- {
		if s.parts[i].close != nil {
			s.parts[i].close()
		}
	}
}

// running is a part in flight.
type running struct {
	part
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// Run runs every part until ctx ends or a part fails, stops them all, and
// returns what failed.
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
		// Not a child of ctx: the parts stop one after the other, not all at once.
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
		return errors.New("without being told to")
	}
	return err
}

// stop ends the parts, the last one first.
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
