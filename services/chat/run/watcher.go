package run

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// aheadRetry is how long a client waits whose position is past the end of a run's log.
const aheadRetry = 2 * time.Second

// Reader receives the events of a run.
type Reader struct {
	// Accept is called once, before the first event. finished reports that no event
	// follows, because the run has ended and the reader has seen the last event.
	Accept func(finished bool) error
	// Send receives one event. While it blocks, only this reader waits.
	Send func(*chatv1.RunEvent) error
}

// eventReader reads runs and their stored events. The [store] implements it.
type eventReader interface {
	get(ctx context.Context, scope postgres.Scope, runID string) (Run, error)
	events(ctx context.Context, scope postgres.Scope, runID string, after int32) ([]*chatv1.RunEvent, error)
}

// watcher sends the events of runs to readers: from memory when the run is executed
// here, and from the database otherwise.
//
// It keeps nothing between calls. Each call of watch runs on the goroutine of its reader,
// and holds no lock while it sends or waits.
type watcher struct {
	poll          time.Duration
	store         eventReader
	runs          *liveRuns
	subscriptions *subscriptions
	clock         clock.Clock
}

func newWatcher(poll time.Duration, store eventReader, runs *liveRuns, subs *subscriptions, clk clock.Clock) *watcher {
	return &watcher{poll: poll, store: store, runs: runs, subscriptions: subs, clock: clk}
}

// watch sends the events of a user's run after a position, first the existing ones, then
// the new ones, until the last. It also returns when ctx ends; the run continues.
func (w *watcher) watch(ctx context.Context, scope postgres.Scope, runID string, after int32, reader Reader) error {
	if l := w.runs.findFor(scope, runID); l != nil {
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
		return w.tail(ctx, scope, runID, after, reader)
	}
	r, err := w.find(ctx, scope, runID, after)
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
	return w.tail(ctx, scope, runID, after, reader)
}

// ahead refuses, for now, a reader whose position is past the log of a live run as this
// process sees it. Either the process that showed the later events stores them soon, or
// that process is lost. Then the run ends soon, with an event that is numbered past all
// events that were shown.
func ahead(last int32) error {
	return fault.New(faultv1.Reason_REASON_UNAVAILABLE, "the run's log ends with event %d on this server for now: try again", last).WithRetryAfter(aheadRetry)
}

// find returns a run for a reader at a position. Readers in the process that executes the
// run are ahead of the database by a batch. When the position is past the stored events,
// find waits once for the next write, at most for the poll interval.
func (w *watcher) find(ctx context.Context, scope postgres.Scope, runID string, after int32) (Run, error) {
	stored, unsubscribe := w.subscriptions.subscribe(runID)
	defer unsubscribe()
	patience := w.clock.NewTimer(w.poll)
	defer patience.Stop()
	for waited := false; ; {
		r, err := w.store.get(ctx, scope, runID)
		if err != nil || r.Finished || after <= r.LastSeq || waited {
			return r, err
		}
		select {
		case <-stored:
		case <-patience.C():
			waited = true
		case <-ctx.Done():
			return r, context.Cause(ctx)
		}
	}
}

// tail follows a run in the database: a run of another process, or one that has ended. It
// subscribes before it reads, so that it misses no event.
func (w *watcher) tail(ctx context.Context, scope postgres.Scope, runID string, after int32, reader Reader) error {
	stored, unsubscribe := w.subscriptions.subscribe(runID)
	defer unsubscribe()
	for {
		// The state is read before the events, because a finished run has all its events.
		r, err := w.store.get(ctx, scope, runID)
		if err != nil {
			return err
		}
		if after, err = w.replay(ctx, scope, runID, after, reader); err != nil {
			return err
		}
		if r.Finished && after >= r.LastSeq {
			return nil
		}
		poll := w.clock.NewTimer(w.poll)
		select {
		case <-stored:
		case <-poll.C():
		case <-ctx.Done():
		}
		poll.Stop()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// replay sends the stored events after a position.
func (w *watcher) replay(ctx context.Context, scope postgres.Scope, runID string, after int32, reader Reader) (int32, error) {
	for {
		events, err := w.store.events(ctx, scope, runID, after)
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
