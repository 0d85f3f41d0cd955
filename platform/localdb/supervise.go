package localdb

import (
	"context"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

const (
	// lookInterval is how often Run checks that Postgres is running.
	lookInterval = 500 * time.Millisecond
	// maxRestartDelay bounds the wait between two attempts to restart Postgres.
	maxRestartDelay = 30 * time.Second
)

// Run watches Postgres until ctx ends, and restarts it whenever it has ended, for
// example because it was killed or the machine ran out of memory. Until then,
// requests get 503, and the pools reconnect by themselves. A start that fails is
// retried, with a delay that doubles up to 30 s, because the cause may be temporary,
// such as a full disk.
//
// Run must end before [Cluster.Stop] is called.
func (c *Cluster) Run(ctx context.Context) error {
	delay := lookInterval
	for clock.Sleep(ctx, clock.System(), delay) == nil {
		if c.current().alive() {
			delay = lookInterval
			continue
		}
		if err := c.restart(ctx); err != nil && ctx.Err() == nil {
			delay = min(2*delay, maxRestartDelay)
			c.log.ErrorContext(ctx, "the local database could not be restarted", "error", err, "retry_after", delay)
		}
	}
	return nil
}

// restart starts a new Postgres in place of the one that has ended.
func (c *Cluster) restart(ctx context.Context) error {
	c.log.WarnContext(ctx, "the local database has ended and will be restarted", "pid", c.current().pid)
	server, err := startServer(ctx, c.home, c.bin, c.password, c.log)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server = server
	c.log.InfoContext(ctx, "the local database was restarted", "pid", server.pid)
	return nil
}

// current returns the postmaster that was started or adopted last.
func (c *Cluster) current() *server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server
}
