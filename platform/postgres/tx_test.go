package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

var inAcme = postgres.Scope{OrganizationID: acme}

func TestInTx_FunctionFails_RollsBack(t *testing.T) {
	t.Parallel()
	db := open(t)
	add := func(ctx context.Context, tx pgx.Tx, text string) error {
		_, err := postgres.TxExec(ctx, tx, "INSERT INTO note (organization_id, text) VALUES ($1, $2)", acme, text)
		return err
	}
	err := db.InTx(t.Context(), inAcme, func(ctx context.Context, tx pgx.Tx) error { return add(ctx, tx, "kept") })
	if err != nil {
		t.Fatal(err)
	}
	sentinel := errors.New("an error of the store")
	err = db.InTx(t.Context(), inAcme, func(ctx context.Context, tx pgx.Tx) error {
		return errors.Join(add(ctx, tx, "undone"), sentinel)
	})
	if !errors.Is(err, sentinel) {
		t.Errorf("InTx = %v, want the function's own error", err)
	}
	own := fault.New(faultv1.Reason_REASON_LAST_OWNER, "no")
	if err := db.InTx(t.Context(), inAcme, func(context.Context, pgx.Tx) error { return own }); !errors.Is(err, own) {
		t.Errorf("InTx = %v, want the function's fault unchanged", err)
	}
	if got := notes(t, db, inAcme); len(got) != 1 || got[0] != "kept" {
		t.Errorf("the notes are %q, want the committed one", got)
	}
}

func TestInTx_FunctionPanics_RollsBackAndReleasesTheConnection(t *testing.T) {
	t.Parallel()
	db := open(t)
	for range 10 { // more often than there are connections
		func() {
			defer func() {
				if recover() != "oh" {
					t.Error("the panic did not reach the caller")
				}
			}()
			err := db.InTx(t.Context(), inAcme, func(ctx context.Context, tx pgx.Tx) error {
				if _, err := postgres.TxExec(ctx, tx, "INSERT INTO note (organization_id, text) VALUES ($1, 'undone')", acme); err != nil {
					t.Error(err)
				}
				panic("oh")
			})
			t.Errorf("InTx returned %v", err)
		}()
	}
	if got := notes(t, db, inAcme); len(got) != 0 {
		t.Errorf("the notes are %q, want none", got)
	}
}

// raise makes the server fail with a given SQLSTATE.
func raise(ctx context.Context, tx pgx.Tx, state string) error {
	_, err := tx.Exec(ctx, "DO $$ BEGIN RAISE EXCEPTION 'raised' USING ERRCODE = '"+state+"'; END $$")
	return err
}

func TestInTx_ConflictWithAnother_IsRetried(t *testing.T) {
	t.Parallel()
	db := open(t)
	for state, want := range map[string]int{
		"40001": 3, "40P01": 3, // succeeds the third time
		"23505": 1, "57014": 1, "55P03": 1, "XX000": 1,
	} {
		runs := 0
		err := db.InTx(t.Context(), inAcme, func(ctx context.Context, tx pgx.Tx) error {
			if runs++; runs == 3 {
				return nil
			}
			return raise(ctx, tx, state)
		})
		if runs != want {
			t.Errorf("%s: ran %d times (%v), want %d", state, runs, err, want)
		}
		if retried := want == 3; retried != (err == nil) {
			t.Errorf("%s: InTx = %v", state, err)
		}
	}
}

func TestInTx_ConflictsFiveTimes_ReturnsConflict(t *testing.T) {
	t.Parallel()
	db := open(t)
	runs := 0
	err := db.InTx(t.Context(), inAcme, func(ctx context.Context, tx pgx.Tx) error {
		runs++
		return raise(ctx, tx, "40001")
	})
	if runs != 5 || !fault.Is(err, faultv1.Reason_REASON_CONFLICT) {
		t.Errorf("ran %d times, then %v; want 5 times and CONFLICT", runs, err)
	}
}

// Two serializable transactions each read what the other writes. The server must roll
// one of them back; it runs again and sees the result of the other.
func TestInTx_SerializableTransactionsConflict_OneRunsAgain(t *testing.T) {
	t.Parallel()
	db := open(t)
	serializable := pgx.TxOptions{IsoLevel: pgx.Serializable}
	bump := func(read, write string, meet func()) error {
		return db.InTxWith(t.Context(), postgres.Scope{}, serializable, func(ctx context.Context, tx pgx.Tx) error {
			value, err := postgres.TxOne(ctx, tx, pgx.RowTo[int], "SELECT value FROM counter WHERE name = $1", read)
			if err != nil {
				return err
			}
			meet()
			_, err = postgres.TxExec(ctx, tx, "UPDATE counter SET value = $1 WHERE name = $2", value+1, write)
			return err
		})
	}
	// In its first run, each waits until both have read.
	arrived, met := make(chan struct{}, 2), make(chan struct{})
	go func() {
		<-arrived
		<-arrived
		close(met)
	}()
	meetOnce := func() func() {
		first := true
		return func() {
			if first {
				first = false
				arrived <- struct{}{}
				<-met
			}
		}
	}
	results := make(chan error, 2)
	go func() { results <- bump("a", "b", meetOnce()) }()
	go func() { results <- bump("b", "a", meetOnce()) }()
	if err := errors.Join(<-results, <-results); err != nil {
		t.Fatal(err)
	}
	sum, err := postgres.QueryOne(t.Context(), db, postgres.Scope{}, pgx.RowTo[int64], "SELECT sum(value) FROM counter")
	if err != nil || sum != 3 { // one sees 0 and writes 1, the other sees 1 and writes 2
		t.Errorf("the counters add up to %d (%v), want 3", sum, err)
	}
}
