package surface_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

var update = flag.Bool("update", false, "rewrite the golden file")

const definers = "testdata/definers.golden"

// table is a table with rows of organizations.
type table struct{ Schema, Name string }

// role returns the service that owns the rows of a schema. For schemas that all services write,
// it returns auth.
func (t table) role() postgres.Role {
	switch t.Schema {
	case "management", "chat":
		return postgres.Role(t.Schema)
	default:
		return "auth"
	}
}

// tenantTables returns all tables with rows of organizations.
func tenantTables(t *testing.T, database *pgtest.Database) []table {
	t.Helper()
	tables := query(t, database, pgx.RowToStructByName[table], `
		SELECT n.nspname AS schema, c.relname AS name FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped
		WHERE c.relkind IN ('r', 'p') ORDER BY 1, 2`)
	if len(tables) < 10 {
		t.Fatalf("only %d tables have rows of organizations: the test proves nothing", len(tables))
	}
	return tables
}

// query runs a query as the superuser, to which row level security does not apply.
func query[T any](t *testing.T, database *pgtest.Database, scan pgx.RowToFunc[T], sql string, args ...any) []T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, scan)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Queries without a condition of their own cannot read or change rows of another organization,
// because row level security restricts them.
func TestS50RowLevelSecurityAloneSeparatesOrganizations(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner, otherUser := i.SignUp(t, "owner@example.com"), i.SignUp(t, "other-user@example.com")
	populate(t, i, owner)
	populate(t, i, otherUser)
	pools := map[postgres.Role]*postgres.DB{}
	for _, table := range tenantTables(t, i.Database) {
		role := table.role()
		if pools[role] == nil {
			pools[role] = i.Database.Open(t, role)
		}
		name := pgx.Identifier{table.Schema, table.Name}.Sanitize()
		theirs := query(t, i.Database, pgx.RowTo[int], "SELECT count(*) FROM "+name+" WHERE organization_id = $1", owner.OrganizationID)[0]
		if theirs == 0 {
			t.Errorf("%s: neither a fixture nor populate in walk_test.go creates a row, so the test proves nothing about it", name)
		}
		for caller, scope := range map[string]postgres.Scope{
			"another organization": {OrganizationID: otherUser.OrganizationID, UserID: otherUser.UserID},
			"an unknown one":       {OrganizationID: id.New()},
			"nobody":               {},
		} {
			checkIsolated(t, pools[role], scope, name, caller, owner.OrganizationID)
		}
		after := query(t, i.Database, pgx.RowTo[int], "SELECT count(*) FROM "+name+" WHERE organization_id = $1", owner.OrganizationID)[0]
		if after < theirs {
			t.Errorf("%s: %d of %d rows are left", name, after, theirs)
		}
	}
}

// checkIsolated tries to read and to delete the rows of an organization with another scope. The
// test also passes when the database role has no privilege for the statement.
func checkIsolated(t *testing.T, db *postgres.DB, scope postgres.Scope, name, caller, organizationID string) {
	t.Helper()
	seen, err := postgres.QueryOne(t.Context(), db, scope, pgx.RowTo[int],
		"SELECT count(*) FROM "+name+" WHERE organization_id = $1::uuid", organizationID)
	if err == nil && seen > 0 {
		t.Errorf("%s: %s sees %d rows", name, caller, seen)
	}
	if deleted, err := postgres.Exec(t.Context(), db, scope,
		"DELETE FROM "+name+" WHERE organization_id = $1::uuid", organizationID); err == nil && deleted > 0 {
		t.Errorf("%s: %s deletes %d rows", name, caller, deleted)
	}
}

// S48: only functions that run with the rights of their owner (SECURITY DEFINER) bypass row level
// security. The golden file makes each of them visible in review.
func TestDefinerFunctions_MatchTheGoldenFile(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	found := query(t, i.Database, pgx.RowTo[string], `
		SELECT format('%-8s %s -> %s', n.nspname, p.oid::regprocedure, pg_get_function_result(p.oid)) FROM pg_proc p
		JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE p.prosecdef AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
		ORDER BY n.nspname, p.proname`)
	got := strings.Join(found, "\n") + "\n"
	if *update {
		if err := os.WriteFile(definers, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(definers)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the functions changed; if this is intended, run go test ./surface -update\n%s", got)
	}
}
