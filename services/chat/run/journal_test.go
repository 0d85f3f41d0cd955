package run_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
	"github.com/gatehouse/gatehouse/services/chat/run"
)

// newOwner returns a process that writes a journal, and stores no event before it stops.
// Its clock stands still, so it does not sweep again and claims nothing that is recovered
// from its journal.
func newOwner(t *testing.T, database *pgtest.Database, eng run.Engine, journal string) *replica {
	t.Helper()
	return newReplicaOn(t, database.Open(t, migrations.Role), clock.NewFake(clock.System().Now()), eng,
		run.Config{Journal: journal, Flush: time.Hour, Lease: time.Hour})
}

// killed returns a copy of the journal of a live process, as another process would find
// it if the process had been killed now: without the lock.
func killed(t *testing.T, journal string) string {
	t.Helper()
	copied := t.TempDir()
	must(t, os.CopyFS(copied, os.DirFS(journal)))
	return copied
}

// seen returns the events of a reader that leaves after n events. It may receive some more
// before it has left.
func (r *replica) seen(t *testing.T, scope postgres.Scope, runID string, n int) []*chatv1.RunEvent {
	t.Helper()
	ctx, leave := context.WithTimeout(as(t, scope), time.Minute)
	defer leave()
	s := &stream{ctx: ctx}
	s.each = func(*chatv1.RunEvent) {
		if len(s.events) == n {
			leave()
		}
	}
	err := r.service.WatchRun(&chatv1.WatchRunRequest{RunId: runID}, s)
	if len(s.events) < n {
		t.Fatalf("the reader saw %v (%v)", s.events, err)
	}
	return s.events
}

func entries(t *testing.T, dir string) int {
	t.Helper()
	found, err := os.ReadDir(dir)
	must(t, err)
	return len(found)
}

func TestJournal_ProcessIsKilled_SeenEventsAreStored(t *testing.T) {
	t.Parallel()
	database, eng, scope, journal := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope(), t.TempDir()
	here := newOwner(t, database, eng, journal)
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	seen := here.seen(t, scope, runID, 3)

	there := newReplica(t, database, eng, run.Config{Journal: killed(t, journal)})
	log := there.watch(t, scope, runID, 0).events
	end := checkLog(t, log)
	if end.GetRunInterrupted().GetMessage().GetContent() != "one two " {
		t.Errorf("ended with %v", end)
	}
	if !bytes.Equal(raw(t, log[:3]), raw(t, seen)) {
		t.Errorf("readers saw %v, stored is %v", seen, log)
	}
	close(eng.gate)
}

func TestJournal_RunIsClaimed_IsLeftAsItIs(t *testing.T) {
	t.Parallel()
	database, eng, scope, journal := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope(), t.TempDir()
	here := newOwner(t, database, eng, journal)
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	here.seen(t, scope, runID, 3)
	left := killed(t, journal)
	database.AdminExec(t, "UPDATE chat.runs SET owner = gen_random_uuid(), attempt = 2 WHERE id = $1", runID)
	newReplica(t, database, eng, run.Config{Journal: left})
	waitUntil(t, "the old journal is removed", func() bool { return entries(t, left) == 1 })
	if n := stored(t, database, runID); n != 0 {
		t.Errorf("%d events were written into another process's run", n)
	}
	close(eng.gate)
}

func TestJournal_ProcessStops_IsRemoved(t *testing.T) {
	t.Parallel()
	database, eng, scope, journal := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope(), t.TempDir()
	close(eng.gate)
	r := newReplica(t, database, eng, run.Config{Journal: journal})
	r.watch(t, scope, r.ask(t, scope, "Hello").GetRun().GetId(), 0)
	if n := entries(t, journal); n != 1 {
		t.Errorf("%d journals", n)
	}
	r.stop()
	if n := entries(t, journal); n != 0 {
		t.Errorf("%d journals are left", n)
	}
}

func TestJournal_RecordIsTruncated_EarlierRecordsAreStored(t *testing.T) {
	t.Parallel()
	database, eng, scope, journal := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope(), t.TempDir()
	here := newOwner(t, database, eng, journal)
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	here.seen(t, scope, runID, 3)
	left := killed(t, journal)
	files, err := filepath.Glob(filepath.Join(left, "*", "a"))
	must(t, err)
	info, err := os.Stat(files[0])
	must(t, err)
	must(t, os.Truncate(files[0], info.Size()-1))
	there := newReplica(t, database, eng, run.Config{Journal: left})
	if end := checkLog(t, there.watch(t, scope, runID, 0).events); end.GetRunInterrupted().GetMessage().GetContent() != "one " {
		t.Errorf("ended with %v", end)
	}
	close(eng.gate)
}

// An invalid record must neither prevent that the others are stored, nor keep the journal
// forever.
func TestJournal_RecordIsInvalid_OthersAreStored(t *testing.T) {
	t.Parallel()
	database, eng, scope, journal := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope(), t.TempDir()
	here := newOwner(t, database, eng, journal)
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	here.seen(t, scope, runID, 3)
	left := killed(t, journal)
	files, err := filepath.Glob(filepath.Join(left, "*", "a"))
	must(t, err)
	whole, err := os.ReadFile(files[0])
	must(t, err)
	must(t, os.WriteFile(files[0], append([]byte("\x01x\x01y\x01z\x00"), whole...), 0o600))
	there := newReplica(t, database, eng, run.Config{Journal: left})
	waitUntil(t, "the old journal is removed", func() bool { return entries(t, left) == 1 })
	if end := checkLog(t, there.watch(t, scope, runID, 0).events); end.GetRunInterrupted().GetMessage().GetContent() != "one two " {
		t.Errorf("ended with %v", end)
	}
	close(eng.gate)
}

func TestJournal_RemovalWasInterrupted_IsRemoved(t *testing.T) {
	t.Parallel()
	database, eng, journal := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, t.TempDir()
	must(t, os.Mkdir(filepath.Join(journal, id.New()), 0o700))
	newReplica(t, database, eng, run.Config{Journal: journal})
	waitUntil(t, "the folder is removed", func() bool { return entries(t, journal) == 1 })
}
