package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// SetTracer replaces the pool with one whose connections have the tracer.
func SetTracer(ctx context.Context, db *DB, tracer pgx.QueryTracer) error {
	config := db.pool.Config()
	config.ConnConfig.Tracer = tracer
	db.pool.Close()
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err == nil {
		db.pool = pool
	}
	return err
}

// SetProbeEvery sets how often a listener notifies itself.
func (l *Listener) SetProbeEvery(d time.Duration) { l.probeEvery = d }

// Verifier and Password are exported for tests.
var (
	Verifier = verifier
	Password = password
)
