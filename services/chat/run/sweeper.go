package run

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// lostRuns claims and reads the runs of lost processes. The [store] implements it.
type lostRuns interface {
	eventReader
	// claim makes this process the owner of runs whose leases have expired.
	claim(ctx context.Context) ([]claimed, error)
	// ping reports an error when the database is unavailable.
	ping(ctx context.Context) error
}

// writer stores the logs of live runs. The [batcher] implements it.
type writer interface {
	waker
	// withoutWrites executes fn while no batch is written.
	withoutWrites(fn func())
}

// sweeper ends the runs of processes that are lost: their leases have expired.
//
// Concurrency: one goroutine executes run, and claimAfter belongs to it. The sweeper
// claims runs in [writer.withoutWrites], because a write and a claim both decide who owns
// a run.
type sweeper struct {
	cfg      Config
	store    lostRuns
	recovery *recovery
	runs     *liveRuns
	writes   writer
	usage    *usage
	clock    clock.Clock
	log      *slog.Logger

	claimAfter time.Time // no run is claimed before
}

func newSweeper(cfg Config, store lostRuns, rec *recovery, runs *liveRuns, writes writer, u *usage, clk clock.Clock, log *slog.Logger) *sweeper {
	return &sweeper{cfg: cfg, store: store, recovery: rec, runs: runs, writes: writes, usage: u, clock: clk, log: log}
}

// run sweeps at once, and then three times per lease until ctx ends.
func (s *sweeper) run(ctx context.Context) {
	for {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the runs of lost processes could not be ended", "error", err)
		}
		select {
		case <-s.clock.After(s.cfg.renewal()):
		case <-ctx.Done():
			return
		}
	}
}

func (s *sweeper) sweep(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	failures := []error{s.recovery.recover(bounded)}
	lost, err := s.claim(bounded)
	if err != nil {
		return errors.Join(append(failures, err)...)
	}
	for _, c := range lost {
		// When this fails the lease expires again, and a later sweep retries.
		failures = append(failures, s.interrupt(bounded, c))
	}
	return errors.Join(failures...)
}

// claim claims the runs whose leases have expired. While the database was unavailable,
// leases expired whose owners are alive. So after a failure it gives owners the time of a
// lease to renew, and claims nothing before.
func (s *sweeper) claim(ctx context.Context) ([]claimed, error) {
	var (
		lost []claimed
		err  error
	)
	if s.clock.Now().Before(s.claimAfter) {
		err = s.store.ping(ctx)
	} else {
		s.writes.withoutWrites(func() {
			lost, err = s.store.claim(ctx)
			lost = slices.DeleteFunc(lost, s.adopt)
		})
	}
	if err != nil {
		s.claimAfter = s.clock.Now().Add(s.cfg.Lease)
	}
	return lost, err
}

// adopt reports whether a claimed run is executed here. Then its batch was only late,
// and the run continues under the claimed attempt.
func (s *sweeper) adopt(c claimed) bool {
	l := s.runs.find(c.run.ID)
	return l != nil && l.adopt(c.attempt)
}

// interrupt ends a claimed run with the text that was stored. Readers may have seen more
// than that, up to the reservation. The end is numbered past the reservation, so that
// these readers receive it too, and no number is used for two events.
func (s *sweeper) interrupt(ctx context.Context, c claimed) error {
	l := newLiveRun(c.scope, c.run, c.attempt, func(error) {})
	for {
		events, err := s.store.events(ctx, c.scope, c.run.ID, l.base)
		if err != nil {
			return err
		}
		for _, event := range events {
			l.answer.add(event)
			l.base = event.GetSeq()
		}
		if len(events) < replayPage {
			break
		}
	}
	if l.base == 0 { // the process was lost before it stored anything
		r, err := s.store.get(ctx, c.scope, c.run.ID)
		if err != nil {
			return err
		}
		c.run.MissingCollectionIDs, c.run.MissingAssistantID = r.MissingCollectionIDs, r.MissingAssistantID
		l.append(started(c.run), c.run.CreateTime)
	}
	e := ending{state: chatv1.Run_INTERRUPTED, message: l.answer.message(c.run.MessageID, l.answer.estimate())}
	s.usage.add(ctx, e.message)
	l.end(e, c.reserved, s.clock.Now())
	s.runs.addLost(l)
	s.writes.wake()
	return nil
}
