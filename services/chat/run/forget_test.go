package run_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
	"github.com/gatehouse/gatehouse/services/chat/run"
)

// No foreign key ties events to their run: deleting it must take them along all
// the same, and no others.
func TestDeletingTheConversationTakesItsEventsAlong(t *testing.T) {
	t.Parallel()
	database, scope := pgtest.New(t, migrations.Set()), newScope()
	eng := &gated{gate: make(chan struct{})}
	close(eng.gate)
	r := newReplica(t, database, eng, run.Config{})
	deleted, kept := r.ask(t, scope, "Hello").GetRun(), r.ask(t, scope, "Hello").GetRun()
	for _, one := range []*chatv1.Run{deleted, kept} {
		events := r.watch(t, scope, one.GetId(), 0).events // to its end, so all of it is stored
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
		t.Error("the events of another run are gone")
	}
}

// Without the foreign key, the policy still keeps the service itself from writing
// events of a run that is not there, or not the caller's.
func TestNobodyWritesEventsOfARunThatIsNotTheirs(t *testing.T) {
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
	stranger := newScope()
	for name, try := range map[string]func() error{
		"in their own organization": func() error { return insert(stranger, stranger.OrganizationID, runID) },
		"in the run's organization": func() error { return insert(stranger, scope.OrganizationID, runID) },
		"of no run":                 func() error { return insert(scope, scope.OrganizationID, newScope().UserID) },
	} {
		if try() == nil {
			t.Errorf("an event was written %s", name)
		}
	}
	must(t, insert(scope, scope.OrganizationID, runID))
}

// stored counts the events of a run as the administrator sees them.
func stored(t *testing.T, database *pgtest.Database, runID string) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database.AdminURL)
	must(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // nothing is lost with this connection
	var n int
	must(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM chat.run_events WHERE run_id = $1", runID).Scan(&n))
	return n
}
