package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func TestNotify_SeveralTransactions_ArriveInOrderOfCommit(t *testing.T) {
	t.Parallel()
	db := open(t)
	listener := db.NewListener()
	received, connected := make(chan string, 10), make(chan struct{}, 1)
	listener.Handle("Some channel", func(_ context.Context, payload string) {
		received <- payload
		if payload == "bad" {
			panic("a handler's mistake")
		}
	})
	listener.OnConnect(func(context.Context) { connected <- struct{}{} })
	run(t, listener)
	<-connected

	rolledBack := db.InTx(t.Context(), postgres.Scope{}, func(ctx context.Context, tx pgx.Tx) error {
		if err := postgres.Notify(ctx, tx, "Some channel", "never"); err != nil {
			t.Error(err)
		}
		return context.Canceled
	})
	if rolledBack == nil {
		t.Error("the transaction was not rolled back")
	}
	for _, payload := range []string{"one", "bad", "three"} {
		notify(t, db, payload)
	}
	for _, want := range []string{"one", "bad", "three"} {
		if got := <-received; got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
}

func TestNotify_PayloadTooLong_IsRefused(t *testing.T) {
	t.Parallel()
	err := open(t).InTx(t.Context(), postgres.Scope{}, func(ctx context.Context, tx pgx.Tx) error {
		return postgres.Notify(ctx, tx, "x", strings.Repeat("x", 8000))
	})
	if !fault.Is(err, faultv1.Reason_REASON_INTERNAL) {
		t.Errorf("Notify = %v", err)
	}
}

// A direct URL of another database has the same effect as a pooler: LISTEN succeeds, and
// no notification arrives.
func TestListener_NoNotificationArrives_IsNotHealthy(t *testing.T) {
	t.Parallel()
	cfg := pgtest.New(t, set()).Config()
	cfg.DirectURL = pgtest.New(t, set()).AdminURL
	db := pgtest.OpenConfig(t, cfg, role)
	listener := db.NewListener()
	listener.SetProbeEvery(10 * time.Millisecond)
	connected := make(chan struct{}, 100)
	listener.OnConnect(func(context.Context) { connected <- struct{}{} })
	run(t, listener)
	for range 3 { // it reconnects, and never becomes healthy
		<-connected
		if listener.Healthy() {
			t.Fatal("a listener that receives nothing is healthy")
		}
	}
}
