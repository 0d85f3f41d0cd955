package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// sweepMost bounds one statement of a sweep, so that it holds few locks.
const sweepMost = 1000

// Sweep deletes what ended by a time, of every organization, and returns how many rows
// that were. It calls a function of the database that takes the time and the most rows
// to delete at once and returns how many it deleted, until there are no more.
func Sweep(ctx context.Context, db *DB, function string, at time.Time) (deleted int64, err error) {
	for {
		n, err := QueryOne(ctx, db, Scope{}, pgx.RowTo[int64], "SELECT "+function+"($1, $2)", at, sweepMost)
		deleted += n
		if err != nil || n < sweepMost {
			return deleted, err
		}
	}
}
