package localdb_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/localdb"
)

// run runs the cluster's supervision until the test ends.
func run(t *testing.T, cluster *localdb.Cluster) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- cluster.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

// answers reports whether the database responds.
func answers(ctx context.Context, url string) bool {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return false
	}
	_, err = conn.Exec(ctx, "SELECT 1")
	return conn.Close(ctx) == nil && err == nil
}

func TestRun_PostgresIsKilled_RestartsIt(t *testing.T) {
	t.Parallel()
	cluster := start(t, localdb.Options{DataDir: dataDir(t)})
	execute(t, cluster.URL(), "CREATE TABLE kept AS SELECT 'yes' AS answer")
	run(t, cluster)
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		before := cluster.PID()
		if err := syscall.Kill(before, signal); err != nil {
			t.Fatal(err)
		}
		deadline, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		look := time.NewTicker(20 * time.Millisecond)
		defer look.Stop()
		for cluster.PID() == before || !answers(deadline, cluster.URL()) {
			select {
			case <-look.C:
			case <-deadline.Done():
				t.Fatalf("after signal %v Postgres was not restarted", signal)
			}
		}
		if got := query(t, cluster.URL(), "SELECT answer FROM kept"); got != "yes" {
			t.Errorf("after signal %v the row is %q", signal, got)
		}
	}
}
