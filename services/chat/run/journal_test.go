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

// newOwner is a process that notes what readers see, and stores none of it before it
// stops. It sweeps no more, and so claims nothing that is recovered from its journal.
func newOwner(t *testing.T, database *pgtest.Database, eng run.Engine, journal string) *replica {
	t.Helper()
	return newReplicaOn(t, database.Open(t, migrations.Role), clock.NewFake(clock.System().Now()), eng,
		run.Config{Journal: journal, Flush: time.Hour, Lease: time.Hour})
}

// dead copies the journal of a process that lives, as it would be found if it
// had been killed now: without the lock.
func dead(t *testing.T, journal string) string {
	t.Helper()
	copied := t.TempDir()
	must(t, os.CopyFS(copied, os.DirFS(journal)))
	return copied
}

// seen returns the events of a reader that leaves after n of them; more may be on their
// way to it by then.
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

func TestWhatReadersOfADeadProcessSawIsStored(t *testing.T) {
	t.Parallel()
	database, eng, scope, journal := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope(), t.TempDir()
	here := newOwner(t, database, eng, journal)
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	seen := here.seen(t, scope, runID, 3)

	there := newReplica(t, database, eng, run.Config{Journal: dead(t, journal)})
	log := there.watch(t, scope, runID, 0).events
	end := checkLog(t, log)
	if end.GetRunInterrupted().GetMessage().GetContent() != "one two " {
		t.Errorf("ended with %v", end)
	}
	if !bytes.Equal(raw(t, log[:3]), raw(t, seen)) {
		t.Errorf("readers saw %v, the log says %v", seen, log)
	}
	close(eng.gate)
}

func TestAClaimedRunIsNotTouchedByAJournal(t *testing.T) {
	t.Parallel()
	database, eng, scope, journal := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope(), t.TempDir()
	here := newOwner(t, database, eng, journal)
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	here.seen(t, scope, runID, 3)
	left := dead(t, journal)
	database.AdminExec(t, "UPDATE chat.runs SET owner = gen_random_uuid(), attempt = 2 WHERE id = $1", runID)
	newReplica(t, database, eng, run.Config{Journal: left})
	waitUntil(t, "the old journal is gone", func() bool { return entries(t, left) == 1 })
	if n := stored(t, database, runID); n != 0 {
		t.Errorf("%d events were written into somebody else's run", n)
	}
	close(eng.gate)
}

func TestAJournalEndsWithItsProcess(t *testing.T) {
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

func TestADamagedJournalIsReadAsFarAsItGoes(t *testing.T) {
	t.Parallel()
	database, eng, scope, journal := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope(), t.TempDir()
	here := newOwner(t, database, eng, journal)
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	here.seen(t, scope, runID, 3)
	left := dead(t, journal)
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

// One record that makes no sense must not keep the others from being stored, nor
// the journal for ever.
func TestARecordThatMakesNoSenseIsLeftOut(t *testing.T) {
	t.Parallel()
	database, eng, scope, journal := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope(), t.TempDir()
	here := newOwner(t, database, eng, journal)
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	here.seen(t, scope, runID, 3)
	left := dead(t, journal)
	files, err := filepath.Glob(filepath.Join(left, "*", "a"))
	must(t, err)
	whole, err := os.ReadFile(files[0])
	must(t, err)
	must(t, os.WriteFile(files[0], append([]byte("\x01x\x01y\x01z\x00"), whole...), 0o600))
	there := newReplica(t, database, eng, run.Config{Journal: left})
	waitUntil(t, "the old journal is gone", func() bool { return entries(t, left) == 1 })
	if end := checkLog(t, there.watch(t, scope, runID, 0).events); end.GetRunInterrupted().GetMessage().GetContent() != "one two " {
		t.Errorf("ended with %v", end)
	}
	close(eng.gate)
}

func TestAHalfRemovedJournalIsRemoved(t *testing.T) {
	t.Parallel()
	database, eng, journal := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, t.TempDir()
	must(t, os.Mkdir(filepath.Join(journal, id.New()), 0o700))
	newReplica(t, database, eng, run.Config{Journal: journal})
	waitUntil(t, "the folder is gone", func() bool { return entries(t, journal) == 1 })
}
