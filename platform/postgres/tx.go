package postgres

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
)

const (
	// maxAttempts bounds how often a transaction runs that conflicts with others.
	maxAttempts = 5
	// firstBackoff doubles with each attempt. The wait is a random part of it, so that
	// two transactions that conflicted do not conflict again.
	firstBackoff = 10 * time.Millisecond
	// rollbackTimeout bounds a rollback. The caller's deadline may have passed.
	rollbackTimeout = 2 * time.Second
)

// InTx runs fn in a read-committed transaction in the scope, commits when it
// returns nil and rolls back otherwise, also on a panic.
//
// When the server rolls the transaction back because of another one, fn runs again.
// InTx returns errors of the driver as faults, and other errors of fn unchanged.
func (db *DB) InTx(ctx context.Context, scope Scope, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return db.InTxWith(ctx, scope, pgx.TxOptions{}, fn)
}

// InTxWith is [DB.InTx] with an isolation level or access mode. A transaction that joins
// another one keeps the options of that one.
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
	// When Rollback fails, it closes the connection, and the server rolls back.
	_ = tx.Rollback(ctx)
}

// Tx is the transaction of [DB.InTx]. Code that only passes it to other functions can
// use this name and need not import the driver.
type Tx = pgx.Tx
