package pgtest

import (
	"context"
	"os"
	"testing"

	"github.com/gatehouse/gatehouse/platform/localdb"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Cluster is a test's own Postgres, which it may stop and start.
type Cluster struct {
	dir     string
	running *localdb.Cluster
	url     string
}

// NewCluster starts a Postgres that belongs to the test alone, and migrates it.
// It takes about two seconds: use [New] where nothing has to die.
func NewCluster(t testing.TB, sets ...postgres.MigrationSet) *Cluster {
	t.Helper()
	// Not t.TempDir, which is closed to the user that Postgres runs as when the
	// tests run as root.
	dir, err := os.MkdirTemp("", "gatehouse-cluster-") //nolint:usetesting // as said
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	c := &Cluster{dir: dir}
	c.Start(t)
	t.Cleanup(func() { c.Stop(t) })
	if err := postgres.Migrate(t.Context(), c.url, SecretKey(), postgres.MigrateOptions{}, sets...); err != nil {
		t.Fatal(err)
	}
	return c
}

// URL is the administrator's; it stays the same over restarts.
func (c *Cluster) URL() string { return c.url }

// Config is what a service would be given to use the database.
func (c *Cluster) Config() postgres.Config {
	return postgres.Config{URL: c.url, SecretKey: SecretKey(), MaxConns: 4}
}

// Start starts Postgres when it is stopped.
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	if c.running != nil {
		return
	}
	running, err := localdb.Start(t.Context(), localdb.Options{DataDir: c.dir, Volatile: true})
	if err != nil {
		t.Fatal(err)
	}
	c.running, c.url = running, running.URL()
}

// Stop stops Postgres when it runs, breaking off all connections.
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	if c.running == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), timeout)
	defer cancel()
	if err := c.running.Stop(ctx); err != nil {
		t.Error(err)
	}
	c.running = nil
}
