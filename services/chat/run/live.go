package run

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// The causes with which the context of a run is canceled.
var (
	errCancelled   = errors.New("the run was cancelled")
	errInterrupted = errors.New("the process stops")
	errLost        = errors.New("the run was deleted, or another process owns it")
)

// ending is how a run ends.
type ending struct {
	state   chatv1.Run_State
	message *chatv1.AnsweredMessage
	problem *faultv1.Problem
}

// liveRun is the log of a run that this process writes. It keeps all events since base in
// memory until the run ends; the token budget of the run bounds them. So readers need no
// queues, only a position.
//
// Concurrency: the fields above answer do not change after the run was added to
// [liveRuns]. One goroutine appends events and ends the run: that of the executor, or the
// sweeper for a lost run. mu guards the fields below it. The batcher reads the events that are not stored yet and
// reports what it stored. Readers wait for changed without holding mu. While mu is held,
// the only other lock that is taken is that of the journal.
type liveRun struct {
	scope   postgres.Scope
	run     Run
	cancel  context.CancelCauseFunc
	journal *journal      // nil when readers do not read from this log
	lease   time.Duration // 0 when readers do not read from this log
	base    int32         // the number of the last event that is stored but not in events

	answer answer // only the goroutine that appends uses it

	mu      sync.Mutex
	attempt int32
	events  []*chatv1.RunEvent
	written int // how many of events are stored
	// reserved is the last number that the database has reserved for this process.
	// Readers see no event past it: if this process is lost, the process that ends
	// the run numbers the end past it.
	reserved int32
	leased   time.Time // when this process last surely held the lease
	doubt    bool      // the lease may have expired, and another process may own the run
	ending   *ending
	ended    bool // the ending is stored
	lost     bool
	changed  chan struct{} // closed and replaced when readers have something to see
}

func newLiveRun(scope postgres.Scope, r Run, attempt int32, cancel context.CancelCauseFunc) *liveRun {
	return &liveRun{scope: scope, run: r, attempt: attempt, cancel: cancel, changed: make(chan struct{})}
}

// append adds an event to the end of the log, and returns how many reserved numbers are
// left. The event is written to the journal before a reader sees it, so that it is found
// after the process was killed. When the lease may have expired, readers see the event
// only after it is stored, because another process may have claimed the run and ended
// its log.
func (l *liveRun) append(event *chatv1.RunEvent, now time.Time) (left int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubt = l.doubt || l.lease > 0 && now.Sub(l.leased) >= l.lease
	l.push(event, l.last()+1, now)
	l.answer.add(event)
	if payload, err := encodeMessage(event); err == nil { // otherwise the batch fails and reports the error
		l.journal.add(record{l.scope, l.run.ID, payload})
	}
	l.notify()
	return l.reserved - event.GetSeq()
}

// push, last, notify and visible expect that mu is held.

func (l *liveRun) push(event *chatv1.RunEvent, seq int32, now time.Time) {
	event.RunId, event.Seq, event.Time = l.run.ID, seq, timestamppb.New(now)
	l.events = append(l.events, event)
}

// last returns the number of the newest event.
func (l *liveRun) last() int32 {
	if n := len(l.events); n > 0 {
		return l.events[n-1].GetSeq()
	}
	return l.base
}

func (l *liveRun) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// visible returns how many of the events readers may see.
func (l *liveRun) visible() int {
	n := len(l.events)
	switch {
	case l.ended:
		return n
	case l.doubt:
		return l.written
	case l.ending != nil:
		n--
	}
	return min(n, int(l.reserved-l.base))
}

// end ends the run with an event whose number is greater than past. Readers see the
// event when it is stored.
func (l *liveRun) end(e ending, past int32, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ending == nil && !l.lost {
		l.ending = &e
		l.push(terminal(e.state, e.message, e.problem), max(l.last(), past)+1, now)
	}
}

// hasAttempt reports whether the run still has this attempt.
func (l *liveRun) hasAttempt(attempt int32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.attempt == attempt
}

// stored records that the first n events and a reservation are in the database, through
// a write that began at a given time. It reports whether the run's ending is stored.
func (l *liveRun) stored(n int, reserved int32, began time.Time) (ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	shown := l.visible()
	l.written, l.leased, l.doubt = n, began, false
	l.reserved = max(l.reserved, reserved)
	l.ended = l.ending != nil && n == len(l.events)
	if l.ended || l.visible() > shown {
		l.notify()
	}
	return l.ended
}

// adopt continues the run under an attempt that this process has claimed. It reports
// false when another process had the run in between.
func (l *liveRun) adopt(attempt int32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if attempt != l.attempt+1 || l.lost {
		return false
	}
	l.attempt = attempt
	return true
}

// lose gives the run up: its executor stops, and its readers continue from the database.
func (l *liveRun) lose() {
	l.cancel(errLost)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
	l.notify()
}

// after returns the events after a position that readers may see, and a channel that is
// closed when there may be more.
func (l *liveRun) after(seq int32) (events []*chatv1.RunEvent, ended, lost bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	visible := l.events[:l.visible()]
	if from := int(seq - l.base); from >= 0 && from < len(visible) {
		events = visible[from:]
	}
	return events, l.ended, l.lost, l.changed
}

// shown returns the number of the newest event that readers may see.
func (l *liveRun) shown() (seq int32, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.base + int32(l.visible()), l.ended //nolint:gosec // bounded by the run's budget
}

// follow sends the events after a position until the run ends, and returns the position
// that it reached. It returns errLost when the reader must continue from the database.
func (l *liveRun) follow(ctx context.Context, seq int32, send func(*chatv1.RunEvent) error) (int32, error) {
	for {
		events, ended, lost, changed := l.after(seq)
		if lost {
			return seq, errLost
		}
		for _, event := range events {
			if err := send(event); err != nil {
				return seq, err
			}
			seq = event.GetSeq()
		}
		if ended {
			return seq, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return seq, context.Cause(ctx)
		}
	}
}
