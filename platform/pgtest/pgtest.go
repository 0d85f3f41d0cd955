// Package pgtest gives each test a Postgres database of its own.
//
//	func TestStore(t *testing.T) {
//		t.Parallel()
//		database := pgtest.New(t, auth.Migrations())
//		db := database.Open(t, auth.Role)
//		…
//	}
//
// The databases are clones of a template, which is migrated once for each set of
// migrations, on one private cluster of the machine that all test processes
// share. A clone takes some tens of milliseconds. The cluster keeps nothing
// safe (no fsync), lives under the temporary directory, and ends by itself when
// no test has used it for a while; [Stop] ends it at once.
//
// A machine without Postgres fails the test: there is no test here that means
// anything without its database. Tests that need Postgres to stop and come back
// use [NewCluster].
package pgtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// timeout bounds what a test waits for a database: the first one of a machine
// creates the cluster and the template.
const timeout = 3 * time.Minute

// Database is one test's own.
type Database struct {
	// AdminURL connects as the cluster's superuser.
	AdminURL string
	// SecretKey is the one that the roles' passwords derive from.
	SecretKey []byte
}

// SecretKey is the same for all tests, as roles belong to the shared cluster.
func SecretKey() []byte { return []byte("a test's key, known to everybody") }

// New returns a fresh database that holds the migrations. It is dropped when
// the test ends.
func New(t testing.TB, sets ...postgres.MigrationSet) *Database {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	cluster, err := sharedCluster()
	if err != nil {
		t.Fatal(err)
	}
	template, err := cluster.template(ctx, sets)
	if err != nil {
		t.Fatal(err)
	}
	name, err := cluster.clone(ctx, template)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), timeout)
		defer cancel()
		if err := cluster.drop(ctx, name); err != nil {
			t.Error(err)
		}
	})
	return &Database{AdminURL: cluster.url(name), SecretKey: SecretKey()}
}

// Config is what a service would be given to use the database.
func (d *Database) Config() postgres.Config {
	return postgres.Config{URL: d.AdminURL, SecretKey: d.SecretKey, MaxConns: 4}
}

// Open connects as a service's role, until the test ends.
func (d *Database) Open(t testing.TB, role postgres.Role) *postgres.DB {
	t.Helper()
	return OpenConfig(t, d.Config(), role)
}

// OpenConfig is [Database.Open] for a configuration that the test has changed.
func OpenConfig(t testing.TB, cfg postgres.Config, role postgres.Role) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), cfg, role)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// AdminExec runs SQL as the administrator, past row level security.
func (d *Database) AdminExec(t testing.TB, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is lost with it
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// AdminQuery runs a query as the administrator, past row level security, and returns
// its rows as text.
func (d *Database) AdminQuery(t testing.TB, sql string, args ...any) [][]string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is lost with it
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]string, error) {
		values := make([]string, len(row.FieldDescriptions()))
		into := make([]any, len(values))
		for n := range values {
			into[n] = &values[n]
		}
		return values, row.Scan(into...)
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}

// template returns the name of the database that holds the migrations, making
// it first when no test has needed it before.
func (c *shared) template(ctx context.Context, sets []postgres.MigrationSet) (string, error) {
	fingerprint, err := postgres.Fingerprint(SecretKey(), sets...)
	if err != nil {
		return "", err
	}
	name := "template_" + fingerprint[:24]
	conn, err := c.connect(ctx)
	if err != nil {
		return "", err
	}
	// Closing gives up the lock as well.
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost with it
	var ready bool
	const finished = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)"
	if err := conn.QueryRow(ctx, finished, name).Scan(&ready); err != nil || ready {
		return name, err
	}
	// Roles belong to the cluster, so migrations of all sets take turns.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext('pgtest.template'))"); err != nil {
		return "", err
	}
	if err := conn.QueryRow(ctx, finished, name).Scan(&ready); err != nil || ready {
		return name, err
	}
	return name, c.build(ctx, conn, name, sets)
}

// build marks the database as a template at the end, so one that a killed
// process left half done is made anew.
func (c *shared) build(ctx context.Context, conn *pgx.Conn, name string, sets []postgres.MigrationSet) error {
	quoted := pgx.Identifier{name}.Sanitize()
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + quoted + " WITH (FORCE)", "CREATE DATABASE " + quoted} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("pgtest: %s: %w", sql, err)
		}
	}
	if err := postgres.Migrate(ctx, c.url(name), SecretKey(), postgres.MigrateOptions{}, sets...); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+quoted+" IS_TEMPLATE true ALLOW_CONNECTIONS false"); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	return nil
}

// clone makes a test's database. Its name tells when, for sweep.
func (c *shared) clone(ctx context.Context, template string) (string, error) {
	name := fmt.Sprintf("test_%d_%s", clock.System().Now().Unix(), strings.ReplaceAll(id.New(), "-", ""))
	return name, c.exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE "+pgx.Identifier{template}.Sanitize())
}

func (c *shared) drop(ctx context.Context, name string) error {
	return c.exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
}

func (c *shared) exec(ctx context.Context, sql string) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost with it
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("pgtest: %s: %w", sql, err)
	}
	return c.touch()
}

func (c *shared) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	return conn, nil
}

// url is the cluster's, for another database.
func (c *shared) url(database string) string {
	u := c.admin
	u.Path = "/" + database
	return u.String()
}
