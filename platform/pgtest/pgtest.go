// Package pgtest creates a Postgres database for each test.
//
//	func TestStore(t *testing.T) {
//		t.Parallel()
//		database := pgtest.New(t, auth.Migrations())
//		db := database.Open(t, auth.Role)
//		…
//	}
//
// The databases are clones of a template, which is migrated once for each set of
// migrations. They are on one private cluster that all test processes of the machine
// share. A clone takes some tens of milliseconds. The cluster is not durable (no fsync),
// is in the temporary directory, and ends by itself when no test has used it for some
// minutes. [Stop] ends it at once.
//
// A test fails on a machine without Postgres, because it would prove nothing without its
// database. Tests that stop and restart Postgres use [NewCluster].
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

// timeout bounds how long a test waits for its database. The first test on a machine
// creates the cluster and the template.
const timeout = 3 * time.Minute

// Database is the database of one test.
type Database struct {
	// AdminURL connects as the cluster's superuser.
	AdminURL string
	// SecretKey is the key from which the passwords of the roles are derived.
	SecretKey []byte
}

// SecretKey returns the secret key of all tests. It is always the same, because roles
// belong to the shared cluster.
func SecretKey() []byte { return []byte("a test's key, known to everybody") }

// New returns a new database with the migrations. It is dropped when the test ends.
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

// Config returns the configuration of a service for the database.
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

// AdminExec runs SQL as the administrator, without row level security.
func (d *Database) AdminExec(t testing.TB, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // the connection is not used any more
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// AdminQuery runs a query as the administrator, without row level security, and returns
// its rows as text.
func (d *Database) AdminQuery(t testing.TB, sql string, args ...any) [][]string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // the connection is not used any more
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

// template returns the name of the database with the migrations. It creates the database
// when it does not exist yet.
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
	// Closing the connection also releases the lock.
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the connection is not used any more
	var ready bool
	const finished = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)"
	if err := conn.QueryRow(ctx, finished, name).Scan(&ready); err != nil || ready {
		return name, err
	}
	// Roles belong to the cluster, so only one migration runs at a time.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext('pgtest.template'))"); err != nil {
		return "", err
	}
	if err := conn.QueryRow(ctx, finished, name).Scan(&ready); err != nil || ready {
		return name, err
	}
	return name, c.build(ctx, conn, name, sets)
}

// build creates the template, and marks it as one at the end. So an incomplete database
// of a killed process is created again.
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

// clone creates the database of a test. Its name contains the time, for sweep.
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
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the connection is not used any more
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

// url returns the cluster's connection string for a database.
func (c *shared) url(database string) string {
	u := c.admin
	u.Path = "/" + database
	return u.String()
}
