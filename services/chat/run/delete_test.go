package run_test

import (
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
	"github.com/gatehouse/gatehouse/services/chat/run"
)

// No foreign key connects events to their run. Deleting the run must delete its events
// nevertheless, and no others.
func TestDeleteConversation_RunHasEvents_DeletesThem(t *testing.T) {
	t.Parallel()
	database, scope := pgtest.New(t, migrations.Set()), newScope()
	eng := &gated{gate: make(chan struct{})}
	close(eng.gate)
	r := newReplica(t, database, eng, run.Config{})
	deleted, kept := r.ask(t, scope, "Hello").GetRun(), r.ask(t, scope, "Hello").GetRun()
	for _, one := range []*chatv1.Run{deleted, kept} {
		events := r.watch(t, scope, one.GetId(), 0).events // until the end, so all events are stored
		if n := stored(t, database, one.GetId()); n != len(events) {
			t.Errorf("%d of %d events are stored", n, len(events))
		}
	}
	_, err := r.conversations.DeleteConversation(as(t, scope), &chatv1.DeleteConversationRequest{Id: deleted.GetConversationId()})
	must(t, err)
	if n := stored(t, database, deleted.GetId()); n != 0 {
		t.Errorf("%d events of a deleted run are left", n)
	}
	if n := stored(t, database, kept.GetId()); n == 0 {
		t.Error("the events of another run are deleted")
	}
}

// Whether an append or a deletion is first, no event is left without its run.
func TestDeleteConversation_DuringAppend_LeavesNoEvents(t *testing.T) {
	t.Parallel()
	database, scope := pgtest.New(t, migrations.Set()), newScope()
	eng := &gated{gate: make(chan struct{})}
	r := newReplica(t, database, eng, run.Config{Flush: time.Millisecond})
	const many = 24
	var deleted sync.WaitGroup
	for n := range many {
		started := r.ask(t, scope, "Hello").GetRun()
		if n == many/2 {
			close(eng.gate) // from here on the runs complete during the deletions
		}
		deleted.Go(func() {
			_, err := r.conversations.DeleteConversation(as(t, scope), &chatv1.DeleteConversationRequest{Id: started.GetConversationId()})
			if err != nil {
				t.Error(err)
			}
		})
		r.ask(t, scope, "Hello") // is kept, and has events in the same batches
	}
	deleted.Wait()
	r.stop() // stores the remaining events
	if n := count(t, database, `SELECT count(*) FROM chat.run_events e
		WHERE NOT EXISTS (SELECT FROM chat.runs r WHERE r.organization_id = e.organization_id AND r.id = e.run_id)`); n != 0 {
		t.Errorf("%d events are left of deleted runs", n)
	}
	if n := count(t, database, "SELECT count(*) FROM chat.runs WHERE finished_at IS NOT NULL"); n != many {
		t.Errorf("%d runs are left, want %d", n, many)
	}
}

// Without the foreign key, the policy prevents that the service writes events of a run that
// does not exist or is not the caller's.
func TestRunEvents_RunIsForeign_InsertIsRefused(t *testing.T) {
	t.Parallel()
	database, scope := pgtest.New(t, migrations.Set()), newScope()
	eng := &gated{gate: make(chan struct{})}
	close(eng.gate)
	r := newReplica(t, database, eng, run.Config{})
	runID := r.ask(t, scope, "Hello").GetRun().GetId()
	r.watch(t, scope, runID, 0)
	db := database.Open(t, migrations.Role)
	insert := func(as postgres.Scope, organizationID, runID string) error {
		_, err := postgres.Exec(t.Context(), db, as, "INSERT INTO run_events (organization_id, run_id, seq, payload) VALUES ($1, $2, 1000, '')",
			organizationID, runID)
		return err
	}
	other := newScope()
	for name, try := range map[string]func() error{
		"in their own organization": func() error { return insert(other, other.OrganizationID, runID) },
		"in the run's organization": func() error { return insert(other, scope.OrganizationID, runID) },
		"of no run":                 func() error { return insert(scope, scope.OrganizationID, newScope().UserID) },
	} {
		if try() == nil {
			t.Errorf("an event was written %s", name)
		}
	}
	must(t, insert(scope, scope.OrganizationID, runID))
}

// stored counts the events of a run.
func stored(t *testing.T, database *pgtest.Database, runID string) int {
	t.Helper()
	return count(t, database, "SELECT count(*) FROM chat.run_events WHERE run_id = $1", runID)
}

// count runs a query as the administrator, so that no policy hides a row.
func count(t *testing.T, database *pgtest.Database, sql string, args ...any) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database.AdminURL)
	must(t, err)
	defer conn.Close(t.Context())
	var n int
	must(t, conn.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}
