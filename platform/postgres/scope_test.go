package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Both ways of running a statement, on a single connection, must never show the rows of
// one tenant to another, even when a statement has failed in between.
func TestS50TenantsAlternatingOnOneConnectionNeverMix(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, set())
	for name, cfg := range map[string]postgres.Config{"direct": database.Config(), "pooled": pooledConfig(database.Config())} {
		cfg.MaxConns = 1
		db := pgtest.OpenConfig(t, cfg, role)
		t.Run(name, func(t *testing.T) {
			addNote(t, db, acme, name+" of acme")
			addNote(t, db, bolt, name+" of bolt")
			var group errgroup.Group
			for organization, own := range map[string]string{acme: "acme", bolt: "bolt"} {
				for range 4 {
					group.Go(func() error { return alternate(t.Context(), db, organization, own) })
				}
			}
			if err := group.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func alternate(ctx context.Context, db *postgres.DB, organization, own string) error {
	scope := postgres.Scope{OrganizationID: organization}
	const query = "SELECT text FROM note"
	for round := range 50 {
		texts, err := postgres.QueryAll(ctx, db, scope, pgx.RowTo[string], query)
		if round%2 == 0 {
			err = db.InTx(ctx, scope, func(ctx context.Context, tx pgx.Tx) (err error) {
				texts, err = postgres.TxAll(ctx, tx, pgx.RowTo[string], query)
				return err
			})
		}
		if err != nil {
			return err
		}
		if len(texts) == 0 || slices.ContainsFunc(texts, func(s string) bool { return !strings.HasSuffix(s, own) }) {
			return fmt.Errorf("%s reads %q", own, texts)
		}
		// A failed statement and a read without scope in between.
		if _, err := postgres.Exec(ctx, db, scope, "SELECT 1/0"); err == nil {
			return errors.New("1/0 succeeded")
		}
		if texts, err := postgres.QueryAll(ctx, db, postgres.Scope{}, pgx.RowTo[string], query); err != nil || len(texts) > 0 {
			return fmt.Errorf("without scope: %q, %w", texts, err)
		}
	}
	return nil
}

func TestS50ScopeRestrictsReadsAndWrites(t *testing.T) {
	t.Parallel()
	db := open(t)
	addNote(t, db, acme, "secret")
	if got := notes(t, db, postgres.Scope{OrganizationID: bolt}); len(got) != 0 {
		t.Errorf("bolt sees %q", got)
	}
	if got := notes(t, db, postgres.Scope{UserID: anna}); len(got) != 0 {
		t.Errorf("a scope without organization sees %q", got)
	}
	_, err := postgres.Exec(t.Context(), db, postgres.Scope{OrganizationID: bolt},
		"INSERT INTO note (organization_id, text) VALUES ($1, 'planted')", acme)
	if !fault.Is(err, faultv1.Reason_REASON_INTERNAL) {
		t.Errorf("inserting for another organization: %v", err)
	}
	both, err := postgres.QueryOne(t.Context(), db, postgres.Scope{OrganizationID: acme, UserID: anna}, pgx.RowTo[string],
		"SELECT gatehouse.organization_id() || ' ' || gatehouse.user_id()")
	if err != nil || both != acme+" "+anna {
		t.Errorf("the scope reads %q, %v", both, err)
	}
}

func TestScope_NotAUUID_IsRefused(t *testing.T) {
	t.Parallel()
	db := open(t)
	for _, scope := range []postgres.Scope{
		{OrganizationID: "'; DROP TABLE note; --"}, {UserID: "x"}, {OrganizationID: strings.ToUpper(acme)},
	} {
		_, single := postgres.Exec(t.Context(), db, scope, "SELECT 1")
		transaction := db.InTx(t.Context(), scope, func(context.Context, pgx.Tx) error { return nil })
		if !fault.Is(single, faultv1.Reason_REASON_INTERNAL) || !fault.Is(transaction, faultv1.Reason_REASON_INTERNAL) {
			t.Errorf("scope %q was accepted: %v, %v", scope, single, transaction)
		}
	}
}

func TestStatements_AddNoRoundTripForTheScope(t *testing.T) {
	t.Parallel()
	db := open(t)
	record := &recorder{}
	if err := postgres.SetTracer(t.Context(), db, record); err != nil {
		t.Fatal(err)
	}
	scope := postgres.Scope{OrganizationID: acme}

	if _, err := postgres.QueryOne(t.Context(), db, scope, pgx.RowTo[int], "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	if got := record.take(); len(got) != 1 || got[0] != "batch" {
		t.Errorf("QueryOne took %q, want one batch", got)
	}
	err := db.InTx(t.Context(), scope, func(ctx context.Context, tx pgx.Tx) error {
		began := record.take()
		if len(began) != 1 || !strings.HasPrefix(began[0], "BEGIN; SELECT set_config(") {
			t.Errorf("the transaction began with %q, want one statement", began)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := record.take(); len(got) != 1 || got[0] != "commit" {
		t.Errorf("the transaction ended with %q, want the commit", got)
	}
}
