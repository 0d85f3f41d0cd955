package run

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// aheadRetry is how long a reader that is ahead of a live run's log waits.
const aheadRetry = 2 * time.Second

// Reader is one who follows a run.
type Reader struct {
	// Accept is called once, before the first event; finished says that there
	// will be none, since the reader has seen the end.
	Accept func(finished bool) error
	// Send takes an event. While it blocks, nobody but this reader waits.
	Send func(*chatv1.RunEvent) error
}

// Watch sends a reader the events of a user's run after a position, first those
// that were, then those that come, until the last. It returns when the reader's
// ctx ends; the run goes on.
func (m *Manager) Watch(ctx context.Context, scope postgres.Scope, runID string, after int32, reader Reader) error {
	if l := m.find(scope, runID); l != nil {
		last, ended := l.shown()
		if after > last && !ended {
			return ahead(last)
		}
		if err := reader.Accept(ended && after >= last); err != nil {
			return err
		}
		var err error
		if after, err = l.follow(ctx, after, reader.Send); !errors.Is(err, errLost) {
			return err
		}
		return m.tail(ctx, scope, runID, after, reader)
	}
	r, err := m.settled(ctx, scope, runID, after)
	if err != nil {
		return err
	}
	if after > r.LastSeq && !r.Finished {
		return ahead(r.LastSeq)
	}
	finished := r.Finished && after >= r.LastSeq
	if err := reader.Accept(finished); err != nil || finished {
		return err
	}
	return m.tail(ctx, scope, runID, after, reader)
}

// ahead refuses, for now, a reader that has seen more of a live run than its log holds
// here. Either the process that showed these events stores them soon, or it is lost.
// Then the run ends soon, with an event that is numbered past all that was shown.
func ahead(last int32) error {
	return fault.New(faultv1.Reason_REASON_UNAVAILABLE, "the run's log ends with event %d on this server for now: try again", last).WithRetryAfter(aheadRetry)
}

// settled reads a run for a reader at a position. Readers in the run's own
// process are ahead of the database by a batch: one who comes here from there
// is given the time that a batch takes.
func (m *Manager) settled(ctx context.Context, scope postgres.Scope, runID string, after int32) (Run, error) {
	heard, leave := m.subscribe(runID)
	defer leave()
	patience := m.clock.NewTimer(m.cfg.Poll)
	defer patience.Stop()
	for waited := false; ; {
		r, err := m.get(ctx, scope, runID)
		if err != nil || r.Finished || after <= r.LastSeq || waited {
			return r, err
		}
		select {
		case <-heard:
		case <-patience.C():
			waited = true
		case <-ctx.Done():
			return r, context.Cause(ctx)
		}
	}
}

// tail follows a run in the database: one of another process, or one that
// ended. It subscribes before it reads, so that it misses nothing.
func (m *Manager) tail(ctx context.Context, scope postgres.Scope, runID string, after int32, reader Reader) error {
	heard, leave := m.subscribe(runID)
	defer leave()
	for {
		// The state is read before the events: a finished run has them all.
		r, err := m.get(ctx, scope, runID)
		if err != nil {
			return err
		}
		if after, err = m.replay(ctx, scope, runID, after, reader); err != nil {
			return err
		}
		if r.Finished && after >= r.LastSeq {
			return nil
		}
		poll := m.clock.NewTimer(m.cfg.Poll)
		select {
		case <-heard:
		case <-poll.C():
		case <-ctx.Done():
		}
		poll.Stop()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// replay sends what is stored after a position.
func (m *Manager) replay(ctx context.Context, scope postgres.Scope, runID string, after int32, reader Reader) (int32, error) {
	for {
		events, err := m.events(ctx, scope, runID, after)
		if err != nil {
			return after, err
		}
		for _, event := range events {
			if err := reader.Send(event); err != nil {
				return after, err
			}
			after = event.GetSeq()
		}
		if len(events) < replayPage {
			return after, nil
		}
	}
}
