package run

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

const (
	// flushTimeout bounds each write and each sweep.
	flushTimeout = 10 * time.Second
	// finalTimeout bounds the last write of a process.
	finalTimeout = 5 * time.Second
)

// waker requests a write of new events. The [batcher] implements it.
type waker interface {
	// wake requests a write within [Config.Flush].
	wake()
	// wakeNow requests a write at once.
	wakeNow()
}

// appender stores a batch. The [store] implements it.
type appender interface {
	// append stores a batch and returns the runs that the owner of the batch still has,
	// and for each whether its cancellation was requested.
	append(ctx context.Context, b *batch, began time.Time) (map[string]bool, error)
}

// batcher groups the new events of all live runs into one write. A transaction for each
// run was measured to collapse at 200 runs.
//
// Concurrency: one goroutine executes run, and only it writes. failed and the order of
// the journal's turns belong to that goroutine. wake and wakeNow may be called from any
// goroutine, and never wait. ownership is held during each write and while withoutWrites
// executes its function.
type batcher struct {
	cfg     Config
	owner   string
	store   appender
	runs    *liveRuns
	journal *journal // nil without one
	clock   clock.Clock
	log     *slog.Logger

	dirty  chan struct{} // there is something to store
	urgent chan struct{} // the write cannot wait for more events
	failed bool          // the last write failed

	ownership sync.Mutex
}

func newBatcher(cfg Config, owner string, store appender, runs *liveRuns, j *journal, clk clock.Clock, log *slog.Logger) *batcher {
	return &batcher{
		cfg: cfg, owner: owner, store: store, runs: runs, journal: j, clock: clk, log: log,
		dirty: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
	}
}

func (b *batcher) wake() { signal(b.dirty) }

func (b *batcher) wakeNow() {
	signal(b.urgent)
	signal(b.dirty)
}

// signal sends to a channel with a buffer of one, unless a signal is already in it.
func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// withoutWrites executes fn while no batch is written. The sweeper claims runs in it: a
// batch that was written during the claim would find its runs claimed, give them up, and
// lose the events that readers have seen.
func (b *batcher) withoutWrites(fn func()) {
	b.ownership.Lock()
	defer b.ownership.Unlock()
	fn()
}

// run stores new events and renews leases until ctx ends. Then it writes a last time,
// and returns.
func (b *batcher) run(ctx context.Context) {
	renewed := b.clock.Now()
	for ctx.Err() == nil {
		select {
		case <-b.dirty:
			b.gather(ctx)
		case <-b.clock.After(b.cfg.renewal()):
		case <-ctx.Done():
		}
		renew := b.clock.Now().Sub(renewed) >= b.cfg.renewal()
		if b.flush(ctx, renew, flushTimeout) && renew {
			renewed = b.clock.Now()
		}
	}
	b.flush(ctx, false, finalTimeout)
}

// closeJournal removes the journal, or leaves it to the next process of this machine
// when the last write failed. It must be called after run has returned.
func (b *batcher) closeJournal() error {
	if b.failed {
		return b.journal.close()
	}
	return b.journal.remove()
}

// gather waits until more events have arrived, or a log is near the end of its
// reservation. After a failure it always waits its whole time, so that a database that
// is unavailable is not called for each event.
func (b *batcher) gather(ctx context.Context) {
	urgent := b.urgent
	if b.failed {
		urgent = nil
	}
	timer := b.clock.NewTimer(b.cfg.Flush)
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-urgent:
	case <-ctx.Done():
	}
}

// flush writes the new events, and renews all leases when renew is set. It reports
// whether the write succeeded. Events that were not written are part of the next write.
func (b *batcher) flush(ctx context.Context, renew bool, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	if !b.failed {
		if err := b.journal.turn(); err != nil {
			b.log.ErrorContext(ctx, "the journal of runs could not be written", "error", err)
		}
	}
	next, err := b.collect(renew)
	if err == nil && len(next.lives) > 0 {
		err = b.write(ctx, next)
	}
	if err != nil {
		b.log.ErrorContext(ctx, "the events of runs could not be stored", "runs", len(next.lives), "error", err)
		b.wake()
	}
	b.failed = err != nil
	return !b.failed
}

func (b *batcher) collect(renew bool) (*batch, error) {
	next := newBatch(b.owner, b.cfg.Lease)
	for _, l := range b.runs.list() {
		if err := next.add(l, renew, b.cfg.Block); err != nil {
			return next, err
		}
	}
	return next, nil
}

// write stores a batch and reports the result to each of its runs.
func (b *batcher) write(ctx context.Context, next *batch) error {
	began := b.clock.Now()
	b.ownership.Lock()
	defer b.ownership.Unlock()
	owned, err := b.store.append(ctx, next, began)
	if err != nil {
		return err
	}
	for i, l := range next.lives {
		if !l.hasAttempt(next.attempts[i]) {
			b.wake() // this process has claimed the run again since the batch was collected
			continue
		}
		cancelRequested, kept := owned[l.run.ID]
		switch {
		case !kept:
			b.runs.remove(l)
			l.lose()
		case l.stored(next.counts[i], next.reserved[i], began):
			b.runs.remove(l)
		case cancelRequested:
			l.cancel(errCancelled)
		}
	}
	return nil
}
