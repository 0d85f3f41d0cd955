package postgres

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
)

// QueryOne runs a statement that returns one row, in its own transaction and one round
// trip. It returns [ErrNoRows] when there is no row, and ignores rows after the first.
func QueryOne[T any](ctx context.Context, db *DB, scope Scope, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	var value T
	err := db.single(ctx, scope, sql, args, func(results pgx.BatchResults) error {
		rows, err := results.Query()
		if err != nil {
			return err
		}
		value, err = pgx.CollectOneRow(rows, scan)
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return value, nil
}

// QueryAll runs a statement that returns any number of rows, in its own transaction and
// one round trip. Without rows it returns an empty slice.
func QueryAll[T any](ctx context.Context, db *DB, scope Scope, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	var values []T
	err := db.single(ctx, scope, sql, args, func(results pgx.BatchResults) error {
		rows, err := results.Query()
		if err != nil {
			return err
		}
		values, err = pgx.CollectRows(rows, scan)
		return err
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

// Exec runs a statement that returns no rows, in its own transaction and one round trip.
// It returns the number of affected rows.
func Exec(ctx context.Context, db *DB, scope Scope, sql string, args ...any) (int64, error) {
	var affected int64
	err := db.single(ctx, scope, sql, args, func(results pgx.BatchResults) error {
		tag, err := results.Exec()
		affected = tag.RowsAffected()
		return err
	})
	return affected, err
}

// single sends the scope and one statement together. They form one implicit
// transaction, so the scope ends with it. The statement is committed only when Close
// succeeds too.
func (db *DB) single(ctx context.Context, scope Scope, sql string, args []any, read func(pgx.BatchResults) error) error {
	if err := scope.validate(); err != nil {
		return err
	}
	if s := db.joined(ctx); s != nil {
		return s.run(ctx, scope, func(ctx context.Context, tx pgx.Tx) error {
			return batched(ctx, tx, scope, sql, args, read)
		})
	}
	conn, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return batched(ctx, conn, scope, sql, args, read)
}

// sender is a connection or a transaction.
type sender interface {
	SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults
}

func batched(ctx context.Context, to sender, scope Scope, sql string, args []any, read func(pgx.BatchResults) error) error {
	var batch pgx.Batch
	batch.Queue(setScope, scope.OrganizationID, scope.UserID)
	batch.Queue(sql, args...)
	results := to.SendBatch(ctx, &batch)
	_, err := results.Exec()
	if err == nil {
		err = read(results)
	}
	if closed := results.Close(); err == nil {
		err = closed
	}
	return contextFirst(ctx, err)
}

// contextFirst returns the error of the context when it has ended, because the driver
// reports other errors then.
func contextFirst(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, ErrNoRows) {
		if _, ok := errors.AsType[*fault.Fault](err); !ok {
			return fault.From(errors.Join(ctx.Err(), err))
		}
	}
	return toFault(err)
}

// TxOne is [QueryOne] inside a transaction.
func TxOne[T any](ctx context.Context, tx pgx.Tx, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	// The rows keep the error of Query, and collecting them returns it.
	rows, _ := tx.Query(ctx, sql, args...)
	value, err := pgx.CollectOneRow(rows, scan)
	return value, contextFirst(ctx, err)
}

// TxAll is [QueryAll] inside a transaction.
func TxAll[T any](ctx context.Context, tx pgx.Tx, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, _ := tx.Query(ctx, sql, args...)
	values, err := pgx.CollectRows(rows, scan)
	return values, contextFirst(ctx, err)
}

// TxExec is [Exec] inside a transaction.
func TxExec(ctx context.Context, tx pgx.Tx, sql string, args ...any) (int64, error) {
	tag, err := tx.Exec(ctx, sql, args...)
	return tag.RowsAffected(), contextFirst(ctx, err)
}

// JSON returns the argument for a json or jsonb parameter. It is text, because the
// driver encodes bytes and maps differently when it does not know the parameter's type.
func JSON(value any) (string, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return "", internal(err)
	}
	return string(text), nil
}
