package authtest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/migrations"
)

// Barrier stops transactions before they commit: those that write an audit row of an
// action, which is what they do last.
type Barrier struct {
	Db   *postgres.DB
	Open func()
}

func NewBarrier(t *testing.T, d *pgtest.Database, action string) *Barrier {
	t.Helper()
	d.AdminExec(t, `CREATE FUNCTION public.barrier() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END $$`)
	d.AdminExec(t, `CREATE TRIGGER barrier BEFORE INSERT ON audit.events FOR EACH ROW WHEN (NEW.action = '`+action+`')
		EXECUTE FUNCTION public.barrier()`)
	b := &Barrier{Db: d.Open(t, migrations.Role)}
	closed, opened, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- b.Db.InTx(t.Context(), postgres.Scope{}, func(ctx context.Context, tx pgx.Tx) error {
			_, err := postgres.TxExec(ctx, tx, "SELECT pg_advisory_xact_lock(7)")
			close(closed)
			<-opened
			return err
		})
	}()
	<-closed
	b.Open = func() {
		close(opened)
		Must(t, <-done)
	}
	return b
}

// Wait waits until n transactions wait for a lock, or something is done.
func (b *Barrier) Wait(t *testing.T, n int, done <-chan struct{}) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		waiting, err := postgres.QueryOne(t.Context(), b.Db, postgres.Scope{}, pgx.RowTo[int],
			"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
		Must(t, err)
		if waiting >= n {
			return
		}
		select {
		case <-done:
			return
		case <-ticker.C:
		}
	}
}

// RaceWith makes a call whose transaction stops where it records an action, before it
// commits, and another one beside it, which answers at once or waits for the first.
func RaceWith[T any](t *testing.T, b *Bundle, action string, first func() error, second func() (T, error)) (T, error) {
	t.Helper()
	stop := NewBarrier(t, b.Database, action)
	one, other := make(chan struct{}), make(chan struct{})
	var errFirst, errSecond error
	var out T
	go func() {
		defer close(one)
		errFirst = first()
	}()
	stop.Wait(t, 1, one)
	go func() {
		defer close(other)
		out, errSecond = second()
	}()
	stop.Wait(t, 2, other)
	stop.Open()
	<-one
	<-other
	Must(t, errFirst)
	return out, errSecond
}

// Change is something that takes from somebody, with the action that it records.
type Change[T any] struct {
	Action string
	Make   func(ctx context.Context, of T) error
}
