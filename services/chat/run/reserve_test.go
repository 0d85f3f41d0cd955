package run_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
	"github.com/gatehouse/gatehouse/services/chat/run"
)

// counting is an engine that sends numbers as words: for each order, as many as the order
// states. It ends when orders is closed.
type counting struct{ orders chan int }

func (c *counting) Run(ctx context.Context, _ engine.Request, out engine.Emitter) (engine.Outcome, error) {
	var sent int
	for {
		select {
		case n, more := <-c.orders:
			if !more {
				return engine.Outcome{}, nil
			}
			for range n {
				sent++
				if err := out.Emit(ctx, engine.MessageDelta{Text: fmt.Sprintf("%d ", sent)}); err != nil {
					return engine.Outcome{}, err
				}
			}
		case <-ctx.Done():
			return engine.Outcome{}, context.Cause(ctx)
		}
	}
}

// lose expires the lease of a run, as if its process had been killed.
func lose(t *testing.T, database *pgtest.Database, runID string) {
	t.Helper()
	database.AdminExec(t, "UPDATE chat.runs SET lease_until = now() - interval '1 second' WHERE id = $1", runID)
}

// hold locks a run, so that nothing can be written to it until release is called.
func hold(t *testing.T, database *pgtest.Database, runID string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database.AdminURL)
	must(t, err)
	tx, err := conn.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), "SELECT FROM chat.runs WHERE id = $1 FOR UPDATE", runID)
	must(t, err)
	return func() {
		must(t, tx.Rollback(context.WithoutCancel(t.Context())))
		must(t, conn.Close(context.WithoutCancel(t.Context())))
	}
}

func TestReservation_WriteIsBlocked_ReadersSeeNoLaterEvent(t *testing.T) {
	t.Parallel()
	database, eng, scope := pgtest.New(t, migrations.Set()), &counting{orders: make(chan int)}, newScope()
	r := newReplica(t, database, eng, run.Config{Block: 8, Lease: time.Hour})
	runID := r.ask(t, scope, "Hello").GetRun().GetId()
	release := hold(t, database, runID)
	at, seen := r.follow(t, scope, runID, 8) // run.started and seven words
	eng.orders <- 100
	<-at
	eng.orders <- 1 // so all hundred are in the log; eight or nine of them are reserved
	err := r.service.WatchRun(&chatv1.WatchRunRequest{RunId: runID, AfterSeq: 50}, &stream{ctx: as(t, scope)})
	wantReason(t, err, faultv1.Reason_REASON_UNAVAILABLE)
	release()
	close(eng.orders)
	events := (<-seen).events
	if end := checkLog(t, events); end.GetRunCompleted() == nil || len(events) != 103 {
		t.Errorf("the log has %d events and ends with %v", len(events), end)
	}
}

// A model that is faster than the pause between writes is not delayed by it.
func TestReservation_ModelIsFast_WritesStartEarly(t *testing.T) {
	t.Parallel()
	database, eng, scope := pgtest.New(t, migrations.Set()), &counting{orders: make(chan int)}, newScope()
	r := newReplica(t, database, eng, run.Config{Block: 4, Flush: time.Hour, Lease: time.Hour})
	runID := r.ask(t, scope, "Hello").GetRun().GetId()
	at, seen := r.follow(t, scope, runID, 41)
	eng.orders <- 40
	<-at
	close(eng.orders)
	r.stop() // stores the end
	checkLog(t, (<-seen).events)
}

func TestReservation_ProcessAndJournalAreLost_EndIsPastSeenEvents(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		stored int // how many words are stored; with -1, run.started is lost too
	}{{"before anything was stored", -1}, {"after some was stored", 3}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			database, eng, scope := pgtest.New(t, migrations.Set()), &counting{orders: make(chan int)}, newScope()
			clk := clock.NewFake(clock.System().Now())
			here := newReplicaOn(t, database.Open(t, migrations.Role), clk, eng, run.Config{Block: 16, Flush: time.Minute, Lease: time.Hour})
			runID := here.ask(t, scope, "Hello").GetRun().GetId()
			kept := ""
			if tc.stored >= 0 {
				eng.orders <- tc.stored
				here.seen(t, scope, runID, 1+tc.stored)
				clk.Advance(time.Minute)
				waitUntil(t, "some words are stored", func() bool { return stored(t, database, runID) == 1+tc.stored })
				kept = "1 2 3 "
			}
			eng.orders <- 5
			seen := here.seen(t, scope, runID, 1+max(tc.stored, 0)+5)
			position := seen[len(seen)-1].GetSeq()

			lose(t, database, runID)
			there := newReplica(t, database, eng, run.Config{Lease: 300 * time.Millisecond})
			s := there.watch(t, scope, runID, position)
			if len(s.events) != 1 || s.events[0].GetRunInterrupted().GetMessage().GetContent() != kept {
				t.Fatalf("a reader at %d saw %v", position, s.events)
			}
			end := s.events[0].GetSeq()
			checkPositions(t, there, scope, runID, seen, end)
			got, err := there.service.GetRun(as(t, scope), &chatv1.GetRunRequest{Id: runID})
			must(t, err)
			if got.GetLastSeq() != end || got.GetState() != chatv1.Run_INTERRUPTED {
				t.Errorf("the run is %v, its end is event %d", got, end)
			}
			// The first process continues nevertheless. Its events change nothing.
			close(eng.orders)
			here.stop()
			checkPositions(t, there, scope, runID, seen, end)
		})
	}
}

// checkPositions reads a lost run from each position. Every reader sees the stored events,
// with the contents that other readers have seen, and the end.
func checkPositions(t *testing.T, r *replica, scope postgres.Scope, runID string, seen []*chatv1.RunEvent, end int32) {
	t.Helper()
	for after := range end + 3 {
		s := r.watch(t, scope, runID, after)
		if after >= end {
			if len(s.events) != 0 || len(s.header.Get("x-gatehouse-run-finished")) != 1 {
				t.Errorf("past the end, after %d, the reader received %v with %v", after, s.events, s.header)
			}
			continue
		}
		if n := len(s.events); n == 0 || s.events[n-1].GetSeq() != end || s.events[n-1].GetRunInterrupted() == nil {
			t.Fatalf("after %d the reader received %v", after, s.events)
		}
		for _, event := range s.events {
			if n := int(event.GetSeq()); n <= len(seen) && !bytes.Equal(raw(t, []*chatv1.RunEvent{event}), raw(t, seen[n-1:n])) {
				t.Errorf("event %d was %v and is %v", n, seen[n-1], event)
			}
		}
	}
}

// A process that was suspended for longer than its lease serves its readers before it
// learns that another process has ended its run.
func TestReservation_ProcessResumesAfterItsLease_ReadersSeeTheEnd(t *testing.T) {
	t.Parallel()
	database, eng, scope := pgtest.New(t, migrations.Set()), &counting{orders: make(chan int)}, newScope()
	clk := clock.NewFake(clock.System().Now())
	here := newReplicaOn(t, database.Open(t, migrations.Role), clk, eng, run.Config{Block: 16, Flush: time.Minute, Lease: time.Hour})
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	at, near := here.follow(t, scope, runID, 6)
	eng.orders <- 5
	<-at
	lose(t, database, runID)
	there := newReplica(t, database, eng, run.Config{Lease: 300 * time.Millisecond})
	ended := there.watch(t, scope, runID, 6).events
	// It resumes. Its clock did not move, so it shows the reserved events.
	eng.orders <- 5
	clk.Advance(time.Minute) // its batcher learns that the run is lost
	events := (<-near).events
	if n := len(events); !bytes.Equal(raw(t, events[n-1:]), raw(t, ended)) || len(ended) != 1 {
		t.Errorf("the reader of the suspended process saw %v, the run ended with %v", events, ended)
	}
	checkLog(t, events)
	close(eng.orders)
}

// A process is lost at any time, with or without its journal. No number is used for two
// events, and every reader sees an end.
func TestReservation_ProcessIsLostAtAnyTime_NumbersAreUnique(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, migrations.Set())
	seed := uint64(clock.System().Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 12 {
		loseOnce(t, database, random)
	}
}

func loseOnce(t *testing.T, database *pgtest.Database, random *rand.Rand) {
	t.Helper()
	eng, scope, journal := &counting{orders: make(chan int)}, newScope(), t.TempDir()
	clk := clock.NewFake(clock.System().Now())
	here := newReplicaOn(t, database.Open(t, migrations.Role), clk, eng,
		run.Config{Block: 2 + random.Int32N(12), Flush: time.Minute, Lease: 1000 * time.Hour, Journal: journal})
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	sent := 0
	for range random.IntN(5) {
		n := random.IntN(10)
		eng.orders <- n
		sent += n
		if random.IntN(2) == 0 {
			clk.Advance(time.Minute)
		}
	}
	seen := here.seen(t, scope, runID, 1+random.IntN(sent+1))
	cfg, kept := run.Config{Lease: 300 * time.Millisecond}, random.IntN(2) == 0
	if kept {
		cfg.Journal = killed(t, journal)
	}
	there := newReplica(t, database, eng, cfg)
	waitUntil(t, "the run is taken over", func() bool {
		lose(t, database, runID) // again, in case a write was in progress
		return attempt(t, database.AdminURL, runID) > 1
	})
	log := there.watch(t, scope, runID, 0).events
	end := checkLog(t, log)
	if end.GetRunInterrupted().GetMessage().GetContent() != text(log) {
		t.Errorf("the log contains %q, its end %v", text(log), end)
	}
	if kept && (len(log) <= len(seen) || !bytes.Equal(raw(t, log[:len(seen)]), raw(t, seen))) {
		t.Errorf("with the journal kept, a reader saw %v, stored is %v", seen, log)
	}
	checkPositions(t, there, scope, runID, seen, end.GetSeq())
	close(eng.orders)
	here.stop()
	there.stop()
}
