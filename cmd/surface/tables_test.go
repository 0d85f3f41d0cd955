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

// table is one table that holds organizations' rows.
type table struct{ Schema, Name string }

// role is the service that owns a schema's rows. Of what all services write, auth
// stands for all.
func (t table) role() postgres.Role {
	switch t.Schema {
	case "management", "chat":
		return postgres.Role(t.Schema)
	default:
		return "auth"
	}
}

func tenantTables(t *testing.T, database *pgtest.Database) []table {
	t.Helper()
	tables := query(t, database, pgx.RowToStructByName[table], `
		SELECT n.nspname AS schema, c.relname AS name FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped
		WHERE c.relkind IN ('r', 'p') ORDER BY 1, 2`)
	if len(tables) < 10 {
		t.Fatalf("only %d tables hold an organization's rows: the test shows nothing", len(tables))
	}
	return tables
}

// query asks as the superuser, past row level security.
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

// Row level security alone, under queries that have no condition of their own,
// shows nothing of another organization and lets nothing of it be changed.
func TestS50RowLevelSecurityAloneKeepsOrganizationsApart(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner, stranger := i.SignUp(t, "owner@example.com"), i.SignUp(t, "stranger@example.com")
	populate(t, i, owner)
	populate(t, i, stranger)
	pools := map[postgres.Role]*postgres.DB{}
	for _, table := range tenantTables(t, i.Database) {
		role := table.role()
		if pools[role] == nil {
			pools[role] = i.Database.Open(t, role)
		}
		name := pgx.Identifier{table.Schema, table.Name}.Sanitize()
		theirs := query(t, i.Database, pgx.RowTo[int], "SELECT count(*) FROM "+name+" WHERE organization_id = $1", owner.OrganizationID)[0]
		if theirs == 0 {
			t.Errorf("%s: neither a fixture nor populate() in walk_test.go makes a row, so that nothing is shown", name)
		}
		for who, scope := range map[string]postgres.Scope{
			"another organization": {OrganizationID: stranger.OrganizationID, UserID: stranger.UserID},
			"an unknown one":       {OrganizationID: id.New()},
			"nobody":               {},
		} {
			isolated(t, pools[role], scope, name, who, owner.OrganizationID)
		}
		after := query(t, i.Database, pgx.RowTo[int], "SELECT count(*) FROM "+name+" WHERE organization_id = $1", owner.OrganizationID)[0]
		if after < theirs {
			t.Errorf("%s: %d of %d rows are left", name, after, theirs)
		}
	}
}

// isolated tries to read and to delete an organization's rows from within
// another scope. A statement that the role may not make at all is as good.
func isolated(t *testing.T, db *postgres.DB, scope postgres.Scope, name, who, organizationID string) {
	t.Helper()
	seen, err := postgres.QueryOne(t.Context(), db, scope, pgx.RowTo[int],
		"SELECT count(*) FROM "+name+" WHERE organization_id = $1::uuid", organizationID)
	if err == nil && seen > 0 {
		t.Errorf("%s: %s sees %d rows", name, who, seen)
	}
	if deleted, err := postgres.Exec(t.Context(), db, scope,
		"DELETE FROM "+name+" WHERE organization_id = $1::uuid", organizationID); err == nil && deleted > 0 {
		t.Errorf("%s: %s deletes %d rows", name, who, deleted)
	}
}

// S48: functions that run with other rights than their caller's are the only way past
// row level security; the golden file shows each in review.
func TestDefinerFunctionsMatchTheGoldenFile(t *testing.T) {
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
		t.Errorf("the functions changed; if that is meant, run go test ./surface -update\n%s", got)
	}
}
