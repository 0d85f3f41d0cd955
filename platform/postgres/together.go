package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// togetherKey finds the transaction that a context's statements join.
type togetherKey struct{}

// shared is a transaction that statements of one pool join.
type shared struct {
	db    *DB
	scope Scope
	tx    pgx.Tx
}

// Together is [DB.InTx] with one difference: every statement and transaction that runs
// on this pool with the context of fn joins the same transaction, each with a savepoint.
// All of them are committed, or none.
//
// It is for a layer around code that opens its own transactions. That code must not use
// the context in several goroutines at once, nor after fn has returned, because a
// transaction has one connection.
func (db *DB) Together(ctx context.Context, scope Scope, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return db.InTx(ctx, scope, func(ctx context.Context, tx pgx.Tx) error {
		return fn(context.WithValue(ctx, togetherKey{}, &shared{db: db, scope: scope, tx: tx}), tx)
	})
}

// joined returns the transaction that statements of this pool join, or nil.
func (db *DB) joined(ctx context.Context) *shared {
	if s, ok := ctx.Value(togetherKey{}).(*shared); ok && s.db == db {
		return s
	}
	return nil
}

// run runs fn after a savepoint, in its own scope.
func (s *shared) run(ctx context.Context, scope Scope, fn func(ctx context.Context, tx pgx.Tx) error) error {
	savepoint, err := s.tx.Begin(ctx)
	if err != nil {
		return contextFirst(ctx, err)
	}
	// The rollback also restores the scope. After a commit it does nothing.
	defer rollback(ctx, savepoint)
	if err := become(ctx, savepoint, scope, s.scope); err != nil {
		return err
	}
	if err := fn(ctx, savepoint); err != nil {
		return err
	}
	// A local setting outlives the release of its savepoint.
	if err := become(ctx, savepoint, s.scope, scope); err != nil {
		return err
	}
	return contextFirst(ctx, savepoint.Commit(ctx))
}

// become changes the scope of the following statements when it differs from the current
// one.
func become(ctx context.Context, tx pgx.Tx, scope, current Scope) error {
	if scope == current {
		return nil
	}
	return Enter(ctx, tx, scope)
}
