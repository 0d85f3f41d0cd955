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

// Together is [DB.InTx] with one difference: every statement and transaction
// that is run on this pool with the context that fn gets joins the one
// transaction, each behind a savepoint. All of it takes effect or none.
//
// It is for a layer around code that makes transactions of its own. That code
// must not use the context in several goroutines at once, nor after fn has
// returned: a transaction has one connection.
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

// run runs fn behind a savepoint, in its own scope.
func (s *shared) run(ctx context.Context, scope Scope, fn func(ctx context.Context, tx pgx.Tx) error) error {
	savepoint, err := s.tx.Begin(ctx)
	if err != nil {
		return contextFirst(ctx, err)
	}
	// After a commit this does nothing; it takes the scope back too.
	defer rollback(ctx, savepoint)
	if err := become(ctx, savepoint, scope, s.scope); err != nil {
		return err
	}
	if err := fn(ctx, savepoint); err != nil {
		return err
	}
	// A local setting outlives the savepoint that it was made behind.
	if err := become(ctx, savepoint, s.scope, scope); err != nil {
		return err
	}
	return contextFirst(ctx, savepoint.Commit(ctx))
}

// become changes the scope of what follows, where it is another one.
func become(ctx context.Context, tx pgx.Tx, scope, current Scope) error {
	if scope == current {
		return nil
	}
	return Enter(ctx, tx, scope)
}
