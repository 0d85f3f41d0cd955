package authtest

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/migrations"
)

// barrier stops transactions that write an audit row of an action, which is the last that
// they do, before they commit.
type barrier struct {
	database *pgtest.Database
	// open lets the transactions commit.
	open func()
}

func newBarrier(t *testing.T, d *pgtest.Database, action string) *barrier {
	t.Helper()
	d.AdminExec(t, `CREATE FUNCTION public.barrier() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END $$`)
	d.AdminExec(t, `CREATE TRIGGER barrier BEFORE INSERT ON audit.events FOR EACH ROW WHEN (NEW.action = '`+action+`')
		EXECUTE FUNCTION public.barrier()`)
	b, db := &barrier{database: d}, d.Open(t, migrations.Role)
	closed, opened, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- db.InTx(t.Context(), postgres.Scope{}, func(ctx context.Context, tx postgres.Tx) error {
			_, err := postgres.TxExec(ctx, tx, "SELECT pg_advisory_xact_lock(7)")
			close(closed)
			<-opened
			return err
		})
	}()
	<-closed
	b.open = func() {
		close(opened)
		Must(t, <-done)
	}
	return b
}

// wait waits until n transactions wait for a lock, or until done is closed.
func (b *barrier) wait(t *testing.T, n int, done <-chan struct{}) {
	t.Helper()
	for {
		waiting := b.database.AdminQuery(t,
			"SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")[0][0]
		if count, err := strconv.Atoi(waiting); err != nil || count >= n {
			Must(t, err)
			return
		}
		select {
		case <-done:
			return
		default:
			Must(t, clock.Sleep(t.Context(), clock.System(), 5*time.Millisecond))
		}
	}
}

// RaceWith calls first, whose transaction stops when it records an action, before it commits. It
// then calls second, which returns at once or waits for the first.
func RaceWith[T any](t *testing.T, b *Bundle, action string, first func() error, second func() (T, error)) (T, error) {
	t.Helper()
	stop := newBarrier(t, b.Database, action)
	one, other := make(chan struct{}), make(chan struct{})
	var errFirst, errSecond error
	var out T
	go func() {
		defer close(one)
		errFirst = first()
	}()
	stop.wait(t, 1, one)
	go func() {
		defer close(other)
		out, errSecond = second()
	}()
	stop.wait(t, 2, other)
	stop.open()
	<-one
	<-other
	Must(t, errFirst)
	return out, errSecond
}

// Change is a change that removes rights, with the action that it records.
type Change[T any] struct {
	Action string
	Do     func(ctx context.Context, of T) error
}
