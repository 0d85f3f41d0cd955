package postgres_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

func notesOf(t *testing.T, ctx context.Context, db *postgres.DB, organization string) []string {
	t.Helper()
	texts, err := postgres.QueryAll(ctx, db, postgres.Scope{OrganizationID: organization}, pgx.RowTo[string], "SELECT text FROM note ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

func insertNote(ctx context.Context, db *postgres.DB, organization, text string) error {
	return db.InTx(ctx, postgres.Scope{OrganizationID: organization}, func(ctx context.Context, tx pgx.Tx) error {
		_, err := postgres.TxExec(ctx, tx, "INSERT INTO note (organization_id, text) VALUES ($1, $2)", organization, text)
		return err
	})
}

// Inner transactions and statements join the outer one. Their rows are visible inside,
// and are rolled back when the outer transaction fails.
func TestTogether_OuterTransactionFails_RollsEverythingBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, set()).Open(t, role)
	broken := errors.New("broken")
	for _, want := range []error{broken, nil} {
		err := db.Together(t.Context(), postgres.Scope{OrganizationID: acme}, func(ctx context.Context, _ pgx.Tx) error {
			if err := insertNote(ctx, db, acme, "inside"); err != nil {
				return err
			}
			if got := notesOf(t, ctx, db, acme); !slices.Equal(got, []string{"inside"}) {
				t.Errorf("inside: %q", got)
			}
			if got := notesOf(t, context.WithoutCancel(t.Context()), db, acme); len(got) != 0 {
				t.Errorf("outside, before the end: %q", got)
			}
			return want
		})
		if !errors.Is(err, want) {
			t.Fatal(err)
		}
	}
	if got := notesOf(t, t.Context(), db, acme); !slices.Equal(got, []string{"inside"}) {
		t.Errorf("after: %q", got)
	}
}

// An inner transaction that fails rolls back only itself. Code that handles its error
// may continue.
func TestTogether_InnerTransactionFails_OuterCanContinue(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, set()).Open(t, role)
	err := db.Together(t.Context(), postgres.Scope{OrganizationID: acme}, func(ctx context.Context, _ pgx.Tx) error {
		if err := insertNote(ctx, db, acme, ""); err == nil {
			t.Error("an empty note was accepted")
		}
		return insertNote(ctx, db, acme, "kept")
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := notesOf(t, t.Context(), db, acme); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("got %q", got)
	}
}

// An inner transaction in another scope sees only the rows of that scope, although it
// uses the same connection. It does not change the outer scope.
func TestS50ScopesInsideTogetherNeverMix(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, set()).Open(t, role)
	addNote(t, db, bolt, "of bolt")
	err := db.Together(t.Context(), postgres.Scope{OrganizationID: acme}, func(ctx context.Context, tx pgx.Tx) error {
		if err := insertNote(ctx, db, acme, "of acme"); err != nil {
			return err
		}
		if got := notesOf(t, ctx, db, bolt); !slices.Equal(got, []string{"of bolt"}) {
			t.Errorf("bolt sees %q", got)
		}
		_ = insertNote(ctx, db, bolt, "") // fails, and restores the scope
		got, err := postgres.TxAll(ctx, tx, pgx.RowTo[string], "SELECT text FROM note")
		if !slices.Equal(got, []string{"of acme"}) {
			t.Errorf("the outer scope sees %q", got)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
