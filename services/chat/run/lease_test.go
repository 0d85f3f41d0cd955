package run_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
	"github.com/gatehouse/gatehouse/services/chat/run"
)

// attempt returns the attempt of a run. It reads as the administrator.
func attempt(t *testing.T, url, runID string) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	var n int
	must(t, conn.QueryRow(t.Context(), "SELECT attempt FROM chat.runs WHERE id = $1", runID).Scan(&n))
	return n
}

// A process was suspended for longer than its lease. It resumes, and continues before it
// learns that another process owns its run.
func TestLease_RunWasTakenOver_ReadersSeeOnlyStoredEvents(t *testing.T) {
	t.Parallel()
	database, eng, scope := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope()
	clk := clock.NewFake(clock.System().Now())
	// It stores nothing before it stops.
	here := newReplicaOn(t, database.Open(t, migrations.Role), clk, eng, run.Config{Flush: time.Hour, Lease: time.Minute})
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	at, near := here.follow(t, scope, runID, 3)
	<-at
	database.AdminExec(t, "UPDATE chat.runs SET owner = gen_random_uuid(), attempt = 2 WHERE id = $1", runID)
	clk.Advance(time.Minute)
	close(eng.gate)
	here.stop()
	database.AdminExec(t, "UPDATE chat.runs SET lease_until = now() - interval '1 second' WHERE id = $1", runID)
	there := newReplica(t, database, eng, run.Config{})
	log := there.watch(t, scope, runID, 0).events
	if checkLog(t, log).GetRunInterrupted() == nil {
		t.Errorf("the log is %v", log)
	}
	clk.Advance(time.Minute)
	if seen := text((<-near).events); seen != "one two " {
		t.Errorf("a reader at the former owner saw %q, stored is %v", seen, log)
	}
}

func TestLease_WriterIsLate_KeepsItsRun(t *testing.T) {
	t.Parallel()
	database, eng, scope := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope()
	here := newReplica(t, database, eng, run.Config{Flush: time.Hour, Lease: 300 * time.Millisecond})
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	_, near := here.follow(t, scope, runID, 3)
	waitUntil(t, "its own sweeper claims the run", func() bool { return attempt(t, database.AdminURL, runID) > 1 })
	close(eng.gate)
	here.stop()
	events := (<-near).events
	if end := checkLog(t, events); end.GetRunCompleted().GetMessage().GetContent() != "one two three four" {
		t.Errorf("ended with %v", end)
	}
	if log := here.watch(t, scope, runID, 0).events; !bytes.Equal(raw(t, log), raw(t, events)) {
		t.Errorf("the reader saw %v, stored is %v", events, log)
	}
	stored, err := here.service.GetRun(as(t, scope), &chatv1.GetRunRequest{Id: runID})
	must(t, err)
	if stored.GetState() != chatv1.Run_COMPLETED || int(stored.GetLastSeq()) != len(events) {
		t.Errorf("the reader saw %v, stored is %v", events, stored)
	}
}

func TestLease_DatabaseWasUnavailable_OwnersHaveTimeToRenew(t *testing.T) {
	t.Parallel()
	cluster, eng, scope := pgtest.NewCluster(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope()
	owner := newReplicaOn(t, pgtest.OpenConfig(t, cluster.Config(), migrations.Role), clock.System(), eng,
		run.Config{Flush: time.Hour, Lease: time.Hour, Grace: time.Millisecond})
	runID := owner.ask(t, scope, "Hello").GetRun().GetId()
	conn, err := pgx.Connect(t.Context(), cluster.URL())
	must(t, err)
	_, err = conn.Exec(t.Context(), "UPDATE chat.runs SET lease_until = now() - interval '1 second' WHERE id = $1", runID)
	must(t, err)
	db, clk := pgtest.OpenConfig(t, cluster.Config(), migrations.Role), clock.NewFake(clock.System().Now())
	_ = conn.Close(t.Context())
	cluster.Stop(t)
	newReplicaOn(t, db, clk, eng, run.Config{Lease: time.Minute})
	must(t, clk.WaitForTimers(t.Context(), 2)) // the batcher waits, and the sweeper, which found no database
	cluster.Start(t)
	waitUntil(t, "the database is available", func() bool { return db.Ping(t.Context()) == nil })
	sweep := func() int {
		clk.Advance(20 * time.Second)
		must(t, clk.WaitForTimers(t.Context(), 2))
		return attempt(t, cluster.URL(), runID)
	}
	if n := sweep(); n != 1 {
		t.Errorf("the run was claimed at once, as attempt %d", n)
	}
	waitUntil(t, "the run is claimed later", func() bool { return sweep() == 2 })
}
