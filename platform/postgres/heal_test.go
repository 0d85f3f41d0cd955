package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// eventually polls until the condition is true. The deadline of the test bounds it.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

func TestPool_DatabaseStopsAndStarts_FailsFastAndReconnects(t *testing.T) {
	t.Parallel()
	cluster := pgtest.NewCluster(t, set())
	db := pgtest.OpenConfig(t, cluster.Config(), role)
	ping := func() error {
		// The deadline of the statement is much longer than the timeout of the pool.
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_, err := postgres.QueryOne(ctx, db, inAcme, pgx.RowTo[int], "SELECT 1")
		return err
	}
	if err := ping(); err != nil {
		t.Fatal(err)
	}
	cluster.Stop(t)
	for range 3 {
		err := ping()
		if !fault.Is(err, faultv1.Reason_REASON_DATABASE_UNAVAILABLE) || fault.From(err).RetryAfter() <= 0 {
			t.Fatalf("without a database: %v, want DATABASE_UNAVAILABLE with a time to wait", err)
		}
	}
	err := db.InTx(t.Context(), inAcme, func(context.Context, pgx.Tx) error { return nil })
	if !fault.Is(err, faultv1.Reason_REASON_DATABASE_UNAVAILABLE) {
		t.Errorf("a transaction without a database: %v", err)
	}
	if err := db.Ping(t.Context()); !fault.Is(err, faultv1.Reason_REASON_DATABASE_UNAVAILABLE) {
		t.Errorf("Ping without a database: %v", err)
	}
	cluster.Start(t)
	eventually(t, "the pool works again", func() bool { return ping() == nil })
}

func TestS23ListenerReconnectsAndReadsWhatItMissed(t *testing.T) {
	t.Parallel()
	cluster := pgtest.NewCluster(t, set())
	db := pgtest.OpenConfig(t, cluster.Config(), role)
	listener := db.NewListener()
	received, connected := make(chan string, 10), make(chan struct{}, 10)
	listener.Handle("Some channel", func(_ context.Context, payload string) { received <- payload })
	listener.OnConnect(func(context.Context) { connected <- struct{}{} })
	run(t, listener)

	<-connected
	notify(t, db, "first")
	if got := <-received; got != "first" {
		t.Errorf("received %q", got)
	}
	eventually(t, "the listener is healthy", listener.Healthy)

	cluster.Stop(t)
	eventually(t, "the listener without database is not healthy", func() bool { return !listener.Healthy() })
	cluster.Start(t)
	<-connected
	eventually(t, "the listener is healthy again", listener.Healthy)
	notify(t, db, "second")
	if got := <-received; got != "second" {
		t.Errorf("received %q", got)
	}
}

func run(t *testing.T, listener *postgres.Listener) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- listener.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func notify(t *testing.T, db *postgres.DB, payload string) {
	t.Helper()
	err := db.InTx(t.Context(), postgres.Scope{}, func(ctx context.Context, tx pgx.Tx) error {
		return postgres.Notify(ctx, tx, "Some channel", payload)
	})
	if err != nil {
		t.Fatal(err)
	}
}
