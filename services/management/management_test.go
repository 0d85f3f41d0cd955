package management_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/management"
	"github.com/gatehouse/gatehouse/services/management/migrations"
)

// shared are the tables of the schema that belong to packages of platform.
var shared = []string{"erasures_followed", "schema_migrations"}

// noErasures is an empty feed.
func noErasures(context.Context, time.Time, string) ([]erasure.Erasure, string, error) {
	return nil, "", nil
}

func setup(t *testing.T) (*management.Service, *pgtest.Database) {
	t.Helper()
	database := pgtest.New(t, migrations.Set())
	service, err := management.New(management.Deps{
		DB: database.Open(t, migrations.Role), SecretKey: pgtest.SecretKey(), Erasures: noErasures,
		Chat: struct{ grpc.ClientConnInterface }{}, Clock: clock.System(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return service, database
}

func TestTables_AreAllTablesOfTheSchema(t *testing.T) {
	t.Parallel()
	service, database := setup(t)
	var owned []string
	for _, table := range service.Tables() {
		owned = append(owned, table.Name)
	}
	slices.Sort(owned)
	want, err := postgres.QueryAll(t.Context(), database.Open(t, migrations.Role), postgres.Scope{}, pgx.RowTo[string],
		"SELECT tablename::text FROM pg_tables WHERE schemaname = 'management' AND tablename <> ALL ($1::text[]) ORDER BY tablename COLLATE \"C\"", shared)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(owned, want) {
		t.Errorf("the rooms own %q, the schema has %q", owned, want)
	}
}

func TestErase_DeletesRowsOfTheOrganizationAlone(t *testing.T) {
	t.Parallel()
	service, database := setup(t)
	erased, other := id.New(), id.New()
	for _, organization := range []string{erased, erased, other} {
		database.AdminExec(t, "INSERT INTO management.assistants (organization_id, id, display_name, created_at, updated_at) VALUES ($1, $2, 'x', now(), now())",
			organization, id.New())
	}
	for range 2 { // a second time, as the feed does
		for _, e := range []erasure.Erasure{{UserID: id.New()}, {OrganizationID: erased}} {
			if err := service.Erase(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	left := database.AdminQuery(t, "SELECT organization_id::text FROM management.assistants")
	if len(left) != 1 || left[0][0] != other {
		t.Errorf("left are rows of %v, want one of %s", left, other)
	}
}
