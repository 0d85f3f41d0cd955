package postgres

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
)

const (
	// maxAttempts bounds how often a transaction is run that others undid.
	maxAttempts = 5
	// firstBackoff doubles with each attempt; the wait is a random part of it, so
	// that two transactions that met do not meet again.
	firstBackoff = 10 * time.Millisecond
	// rollbackTimeout is a deadline of its own: the caller's may have passed.
	rollbackTimeout = 2 * time.Second
)

// InTx runs fn in a read-committed transaction in the scope, commits when it
// returns nil and rolls back otherwise, also on a panic.
//
// When the server undoes the transaction in favor of another one, fn is run
// again. Errors of the driver come out as faults; other errors that fn returns
// come out unchanged.
func (db *DB) InTx(ctx context.Context, scope Scope, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return db.InTxWith(ctx, scope, pgx.TxOptions{}, fn)
}

// InTxWith is [DB.InTx] with an isolation level or access mode, which one that
// joins another transaction cannot choose.
func (db *DB) InTxWith(ctx context.Context, scope Scope, opts pgx.TxOptions, fn func(ctx context.Context, tx pgx.Tx) error) error {
	if err := scope.validate(); err != nil {
		return err
	}
	if s := db.joined(ctx); s != nil {
		return MapError(s.run(ctx, scope, fn))
	}
	begin := scope.begin(opts)
	for attempt := 1; ; attempt++ {
		err := db.attempt(ctx, begin, fn)
		if err == nil || attempt == maxAttempts || !retryable(err) {
			return MapError(err)
		}
		wait := rand.N(firstBackoff << attempt) //nolint:gosec // only spreads the attempts
		if clock.Sleep(ctx, db.cfg.Clock, wait) != nil {
			return MapError(err)
		}
	}
}

// attempt runs the transaction once.
func (db *DB) attempt(ctx context.Context, begin string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	conn, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return contextFirst(ctx, err)
	}
	// After a commit this does nothing. Deferred, it also covers a panic of fn,
	// which then goes on its way.
	defer rollback(ctx, tx)
	if err := fn(ctx, tx); err != nil {
		return err
	}
	return contextFirst(ctx, tx.Commit(ctx))
}

func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	// A failure closes the connection, and the server rolls back.
	_ = tx.Rollback(ctx)
}

// Tx is a transaction as [DB.InTx] hands it out, for code that passes it on
// without querying and so need not know the driver.
type Tx = pgx.Tx
