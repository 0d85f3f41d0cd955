package postgres_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

func TestMigrate_RepeatedAndConcurrent_Succeeds(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, set())
	db := database.Open(t, role)
	addNote(t, db, acme, "kept")
	var group errgroup.Group
	for range 4 {
		group.Go(func() error {
			return postgres.Migrate(t.Context(), database.AdminURL, database.SecretKey, postgres.MigrateOptions{}, set())
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := notes(t, db, inAcme); len(got) != 1 {
		t.Errorf("the notes are %q after migrating again", got)
	}
}

func TestMigrate_NewMigration_IsApplied(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, set())
	db := database.Open(t, role)
	longer := set()
	longer.FS = fstest.MapFS{
		"0001_note.sql":  {Data: []byte(noteTable)},
		"0002_other.sql": {Data: []byte("CREATE TABLE other (v vector(3)); INSERT INTO other VALUES ('[1,2,3]')")},
	}
	if err := postgres.Migrated(t.Context(), db, set()); err != nil {
		t.Errorf("Migrated = %v", err)
	}
	if err := postgres.Migrated(t.Context(), db, longer); err == nil || !strings.Contains(err.Error(), "0002_other.sql") {
		t.Errorf("Migrated = %v, want an error that names the second migration", err)
	}
	if err := postgres.Migrate(t.Context(), database.AdminURL, database.SecretKey, postgres.MigrateOptions{}, longer); err != nil {
		t.Fatal(err)
	}
	if err := postgres.Migrated(t.Context(), db, longer); err != nil {
		t.Errorf("Migrated = %v after migrating", err)
	}
	if err := postgres.Migrated(t.Context(), db, set()); err != nil {
		t.Errorf("Migrated = %v for a program that is older than the database", err)
	}
	if _, err := postgres.QueryOne(t.Context(), db, inAcme, pgx.RowTo[string], "SELECT v::text FROM other"); err != nil {
		t.Errorf("the role may not read a new table: %v", err)
	}
}

func TestMigrate_BadMigration_IsRefused(t *testing.T) {
	t.Parallel()
	for want, files := range map[string]fstest.MapFS{
		"was changed after": {"0001_note.sql": {Data: []byte(noteTable + "-- changed")}},
		"0002_bad.sql of sample, line 3": {
			"0001_note.sql": {Data: []byte(noteTable)},
			"0002_bad.sql":  {Data: []byte("CREATE TABLE undone (x int);\n\nSELECT nonsense;")},
		},
		"same number": {"0001_note.sql": {Data: []byte(noteTable)}, "0001_again.sql": {}},
		"not named":   {"0001-note.sql": {}},
	} {
		database := pgtest.New(t, set())
		changed := set()
		changed.FS = files
		err := postgres.Migrate(t.Context(), database.AdminURL, database.SecretKey, postgres.MigrateOptions{}, changed)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Migrate = %v, want %q", err, want)
		}
		if _, err := postgres.Exec(t.Context(), database.Open(t, role), inAcme, "TABLE undone"); err == nil {
			t.Error("a failed migration left a table behind")
		}
	}
	database := pgtest.New(t)
	if err := postgres.Migrate(t.Context(), database.AdminURL, []byte("short"), postgres.MigrateOptions{}); err == nil {
		t.Error("Migrate accepts a short key")
	}
	if err := postgres.Migrate(t.Context(), database.AdminURL, database.SecretKey, postgres.MigrateOptions{}, postgres.MigrationSet{Role: "Bad role"}); err == nil {
		t.Error("Migrate accepts a role with a space")
	}
}

func TestMigrate_SetsTheSettingsOfRoles(t *testing.T) {
	t.Parallel()
	db := open(t)
	for name, want := range map[string]string{
		"search_path": "sample, extensions", "statement_timeout": "30s", "lock_timeout": "10s",
		"idle_in_transaction_session_timeout": "1min", "jit": "off", "timezone": "UTC",
		"plan_cache_mode": "force_custom_plan", "hnsw.iterative_scan": "relaxed_order", "hnsw.ef_search": "100",
	} {
		got, err := postgres.QueryOne(t.Context(), db, postgres.Scope{}, pgx.RowTo[string], "SELECT current_setting($1)", name)
		if err != nil || got != want {
			t.Errorf("%s = %q (%v), want %q", name, got, err, want)
		}
	}
}

// S75: a service may only insert into the audit trail.
func TestRole_ObjectsOfOthers_AreNotAccessible(t *testing.T) {
	t.Parallel()
	other := postgres.MigrationSet{Role: "other", FS: fstest.MapFS{
		"0001_thing.sql": {Data: []byte("CREATE TABLE thing (x int); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'")},
	}}
	database := pgtest.New(t, set(), other)
	mine, theirs := database.Open(t, role), database.Open(t, "other")
	for sql, allowed := range map[string]bool{
		"SELECT count(*) FROM counter":                  true,
		"SELECT count(*) FROM jobs_sample.river_job":    true,
		"SELECT count(*) FROM sample.schema_migrations": true,
		"SELECT count(*) FROM other.thing":              false,
		"SELECT other.f()":                              false,
		"SELECT count(*) FROM jobs_other.river_job":     false,
		"SELECT count(*) FROM audit.events":             false,
		"UPDATE audit.events SET action = 'x'":          false,
		"DELETE FROM audit.events":                      false,
		"TRUNCATE audit.events":                         false,
		"DROP TABLE audit.events":                       false,
		"DELETE FROM schema_migrations":                 false,
		"DELETE FROM jobs_sample.river_migration":       false,
		"CREATE TABLE mine (x int)":                     false,
		"CREATE TABLE public.mine (x int)":              false,
		"ALTER TABLE note DISABLE ROW LEVEL SECURITY":   false,
		"SET ROLE gatehouse_definer":                    false,
		"TRUNCATE note":                                 false,
		"SELECT rolpassword FROM pg_authid":             false,
	} {
		if _, err := postgres.Exec(t.Context(), mine, inAcme, sql); (err == nil) != allowed {
			t.Errorf("%s: %v, want allowed = %v", sql, err, allowed)
		}
	}
	if _, err := postgres.Exec(t.Context(), theirs, inAcme, "TABLE thing"); err != nil {
		t.Error(err)
	}
	insert := `INSERT INTO audit.events (organization_id, id, actor_type, actor_id, action, resource_type, resource_id, ip_address)
		VALUES ($1, gen_random_uuid(), 'user', 'u', 'note.create', 'note', 'n', '::1')`
	if _, err := postgres.Exec(t.Context(), mine, inAcme, insert, acme); err != nil {
		t.Errorf("writing the audit trail: %v", err)
	}
	if _, err := postgres.Exec(t.Context(), mine, inAcme, insert, bolt); err == nil {
		t.Error("the audit trail of another organization can be written")
	}
}

func TestS49OpenRefusesRolesThatBypassRowSecurity(t *testing.T) {
	t.Parallel()
	const dangerous postgres.Role = "dangerous"
	danger := postgres.MigrationSet{Role: dangerous, FS: fstest.MapFS{
		"0001_t.sql": {Data: []byte("CREATE TABLE t (x int)")},
	}}
	for want, sql := range map[string]string{
		"is a superuser": "ALTER ROLE gatehouse_dangerous SUPERUSER",
		"has BYPASSRLS":  "GRANT gatehouse_definer TO gatehouse_dangerous",
		"owns tables":    "ALTER TABLE dangerous.t OWNER TO gatehouse_dangerous",
	} {
		// Roles belong to the cluster, so each case needs its own cluster.
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			cluster := pgtest.NewCluster(t, danger)
			pgtest.OpenConfig(t, cluster.Config(), dangerous)
			(&pgtest.Database{AdminURL: cluster.URL()}).AdminExec(t, sql)
			if _, err := postgres.Open(t.Context(), cluster.Config(), dangerous); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Open = %v, want %q", err, want)
			}
		})
	}
	cfg := pgtest.New(t, set()).Config()
	cfg.SecretKey = []byte(strings.Repeat("x", 32))
	if _, err := postgres.Open(t.Context(), cfg, role); err == nil || !strings.Contains(err.Error(), "secret key") {
		t.Errorf("Open with another key = %v", err)
	}
	if _, err := postgres.Open(t.Context(), postgres.Config{MaxConns: -1}, role); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("Open without anything = %v, want three problems", err)
	}
}

func TestVerifier_DoesNotContainThePassword(t *testing.T) {
	t.Parallel()
	key := pgtest.SecretKey()
	stored, err := postgres.Verifier(key, role)
	if err != nil {
		t.Fatal(err)
	}
	again, err := postgres.Verifier(key, role)
	if err != nil || again != stored {
		t.Errorf("the verifier changes: %q, %q, %v", stored, again, err)
	}
	other, err := postgres.Verifier(key, "other")
	if err != nil || other == stored || !strings.HasPrefix(stored, "SCRAM-SHA-256$4096:") {
		t.Errorf("verifiers %q and %q, %v", stored, other, err)
	}
	if text, err := json.Marshal(stored); err != nil || strings.Contains(string(text), string(key)) {
		t.Error("the verifier contains the password")
	}
}
