package pgtest

import (
	"context"
	"os"
	"testing"

	"github.com/gatehouse/gatehouse/platform/localdb"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Cluster is a Postgres of one test, which the test may stop and start.
type Cluster struct {
	dir     string
	running *localdb.Cluster
	url     string
}

// NewCluster starts a Postgres for one test, and migrates it. It takes about two seconds,
// so use [New] when the test need not stop Postgres.
func NewCluster(t testing.TB, sets ...postgres.MigrationSet) *Cluster {
	t.Helper()
	// When the tests run as root, the user of Postgres cannot enter t.TempDir.
	dir, err := os.MkdirTemp("", "gatehouse-cluster-") //nolint:usetesting // see the comment above
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

// URL returns the administrator's connection string. It does not change with a restart.
func (c *Cluster) URL() string { return c.url }

// Config returns the configuration of a service for the database.
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

// Stop stops Postgres when it runs, and so closes all connections.
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
