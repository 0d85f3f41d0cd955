package postgres_test

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// secondInstallation returns the configuration of another installation in the same
// cluster, with its own database and secret key.
func secondInstallation(t *testing.T, cluster *pgtest.Cluster) postgres.Config {
	t.Helper()
	(&pgtest.Database{AdminURL: cluster.URL()}).AdminExec(t, "CREATE DATABASE second")
	second, err := url.Parse(cluster.URL())
	if err != nil {
		t.Fatal(err)
	}
	second.Path = "/second"
	return postgres.Config{URL: second.String(), SecretKey: bytes.Repeat([]byte{7}, 32)}
}

// schemas counts the schemas that a migration would have created.
func schemas(t *testing.T, adminURL string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), adminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	query := "SELECT count(*) FROM pg_namespace WHERE nspname IN ('gatehouse', 'extensions', 'audit', 'sample', 'jobs_sample')"
	if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestS95ASecondInstallationLeavesTheRolesOfTheFirst(t *testing.T) {
	t.Parallel()
	cluster := pgtest.NewCluster(t, set())
	second := secondInstallation(t, cluster)
	err := postgres.Migrate(t.Context(), second.URL, second.SecretKey, postgres.MigrateOptions{}, set())
	if err == nil || !strings.Contains(err.Error(), "gatehouse_sample") || !strings.Contains(err.Error(), "another secret key") {
		t.Errorf("Migrate = %v, want an error that names the role gatehouse_sample", err)
	}
	if n := schemas(t, second.URL); n != 0 {
		t.Errorf("the refused migration made %d schemas", n)
	}
	pgtest.OpenConfig(t, cluster.Config(), role) // the first one still has its password

	// AdoptRoles sets new passwords, so the first installation can no longer log in.
	options := postgres.MigrateOptions{AdoptRoles: true}
	if err := postgres.Migrate(t.Context(), second.URL, second.SecretKey, options, set()); err != nil {
		t.Fatal(err)
	}
	pgtest.OpenConfig(t, second, role)
	if _, err := postgres.Open(t.Context(), cluster.Config(), role); err == nil {
		t.Error("the first installation still opens after its roles were adopted")
	}
}

// A role whose login cannot be tried may belong to another installation.
func TestS95ARoleThatCannotBeTriedIsReported(t *testing.T) {
	t.Parallel()
	cluster := pgtest.NewCluster(t, set())
	admin := &pgtest.Database{AdminURL: cluster.URL()}
	admin.AdminExec(t, "ALTER ROLE gatehouse_sample NOLOGIN")
	err := postgres.Migrate(t.Context(), cluster.URL(), cluster.Config().SecretKey, postgres.MigrateOptions{}, set())
	if err == nil || !strings.Contains(err.Error(), "gatehouse_sample") || !strings.Contains(err.Error(), "it is unknown whether") {
		t.Errorf("Migrate = %v, want an error that names the role", err)
	}
}

// A failed adoption does not change the passwords, because they are set last.
func TestS95AFailedMigrationChangesNoPassword(t *testing.T) {
	t.Parallel()
	cluster := pgtest.NewCluster(t, set())
	second := secondInstallation(t, cluster)
	broken := set()
	broken.FS = fstest.MapFS{"0001_bad.sql": {Data: []byte("SELECT nonsense")}}
	err := postgres.Migrate(t.Context(), second.URL, second.SecretKey, postgres.MigrateOptions{AdoptRoles: true}, broken)
	if err == nil || !strings.Contains(err.Error(), "0001_bad.sql") {
		t.Fatalf("Migrate = %v, want the migration's error", err)
	}
	pgtest.OpenConfig(t, cluster.Config(), role)
}

// All checks run before the first change.
func TestS95MigrateChangesNothingWhenACheckFails(t *testing.T) {
	t.Parallel()
	cluster := pgtest.NewCluster(t)
	misnamed := set()
	misnamed.FS = fstest.MapFS{"0001-note.sql": {}}
	fresh := secondInstallation(t, cluster)
	err := postgres.Migrate(t.Context(), fresh.URL, fresh.SecretKey, postgres.MigrateOptions{}, misnamed)
	if err == nil || !strings.Contains(err.Error(), "not named") {
		t.Errorf("Migrate = %v, want the file's name", err)
	}
	if n := schemas(t, fresh.URL); n != 0 {
		t.Errorf("the refused migration made %d schemas", n)
	}
}
