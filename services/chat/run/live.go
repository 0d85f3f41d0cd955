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

// errLost says that another process took the run over, or that it was deleted.
var errLost = errors.New("the run belongs to somebody else now")

// ending is how a run ends, from the decision until it is stored.
type ending struct {
	state   chatv1.Run_State
	message *chatv1.AnsweredMessage
	problem *faultv1.Problem
}

// live is the log of a run that this process writes. The log of a run is
// bounded by the run's token budget, so it is kept whole until the run ends:
// readers need no queues, only a position.
type live struct {
	scope   postgres.Scope
	run     Run
	attempt int32
	base    int32 // events that are stored but not held here
	cancel  context.CancelCauseFunc
	journal *journal      // nil where nobody reads from here
	lease   time.Duration // 0 where nobody reads from here
	mu      sync.Mutex
	events  []*chatv1.RunEvent
	answer  answer
	written int // how many of events are stored
	// reserved is the last number that the database has reserved for this process.
	// Readers see no event past it: if this process is lost, the process that ends
	// the run numbers the end past it.
	reserved int32
	leased   time.Time // when the lease was last known to be ours
	doubt    bool      // the lease may have ended, and the run may belong to another process
	ending   *ending
	ended    bool // the ending is stored
	lost     bool
	changed  chan struct{} // closed and renewed when readers have something to see
}

func newLive(scope postgres.Scope, r Run, attempt int32, cancel context.CancelCauseFunc) *live {
	return &live{scope: scope, run: r, attempt: attempt, cancel: cancel, changed: make(chan struct{})}
}

// append adds an event to the end of the log, and returns how many reserved numbers are
// left. The event goes to the journal before a reader sees it, so that it is found
// again after the process was killed. When the lease may have ended, readers see the
// event only once it is stored, because another process may have claimed the run and
// ended its log.
func (l *live) append(event *chatv1.RunEvent, now time.Time) (left int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubt = l.doubt || l.lease > 0 && now.Sub(l.leased) >= l.lease
	l.push(event, l.last()+1, now)
	l.answer.add(event)
	if payload, err := encodeMessage(event); err == nil { // else the batch fails, and says so
		l.journal.add(record{l.scope, l.run.ID, payload})
	}
	l.wake()
	return l.reserved - event.GetSeq()
}

func (l *live) push(event *chatv1.RunEvent, seq int32, now time.Time) {
	event.RunId, event.Seq, event.Time = l.run.ID, seq, timestamppb.New(now)
	l.events = append(l.events, event)
}

// last returns the number of the newest event.
func (l *live) last() int32 {
	if n := len(l.events); n > 0 {
		return l.events[n-1].GetSeq()
	}
	return l.base
}

func (l *live) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// end ends the run with an event that is numbered past a position. Readers see the
// event when it is stored.
func (l *live) end(e ending, past int32, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ending == nil && !l.lost {
		l.ending = &e
		l.push(terminal(e.state, e.message, e.problem), max(l.last(), past)+1, now)
	}
}

// is tells whether an attempt is still the run's.
func (l *live) is(attempt int32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.attempt == attempt
}

// stored records that the first n events and a reservation are in the database, by a
// write that began at a given time.
func (l *live) stored(n int, reserved int32, began time.Time) (ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	shown := l.visible()
	l.written, l.leased, l.doubt = n, began, false
	l.reserved = max(l.reserved, reserved)
	l.ended = l.ending != nil && n == len(l.events)
	if l.ended || l.visible() > shown {
		l.wake()
	}
	return l.ended
}

// keep goes on with the run by a claim of this process, if nobody else had it in
// between.
func (l *live) keep(attempt int32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if attempt != l.attempt+1 || l.lost {
		return false
	}
	l.attempt = attempt
	return true
}

// lose gives the run up: readers go on from the database.
func (l *live) lose() {
	l.cancel(errLost)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
	l.wake()
}

// after returns the events after a position that readers may see, and a
// channel that closes when there may be more.
func (l *live) after(seq int32) (events []*chatv1.RunEvent, ended, lost bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	visible := l.events[:l.visible()]
	if from := int(seq - l.base); from >= 0 && from < len(visible) {
		events = visible[from:]
	}
	return events, l.ended, l.lost, l.changed
}

// shown returns the number of the newest event that readers may see.
func (l *live) shown() (seq int32, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.base + int32(l.visible()), l.ended //nolint:gosec // bounded by the run's budget
}

// visible returns how many of the events readers may see.
func (l *live) visible() int {
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

// follow sends the events after a position until the run ends, and returns the
// position that it came to.
func (l *live) follow(ctx context.Context, seq int32, send func(*chatv1.RunEvent) error) (int32, error) {
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
