package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// sweepMost bounds the rows of one statement of a sweep, so that it locks few rows.
const sweepMost = 1000

// Sweep deletes the rows of all organizations that expired by a time, and returns their
// number. It calls a function of the database until there are no more such rows. The
// function takes the time and the largest number of rows to delete, and returns the
// number of deleted rows.
func Sweep(ctx context.Context, db *DB, function string, at time.Time) (deleted int64, err error) {
	for {
		n, err := QueryOne(ctx, db, Scope{}, pgx.RowTo[int64], "SELECT "+function+"($1, $2)", at, sweepMost)
		deleted += n
		if err != nil || n < sweepMost {
			return deleted, err
		}
	}
}
