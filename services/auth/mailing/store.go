package mailing

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

// store counts emails in Postgres.
type store struct{ db *postgres.DB }

// newStore returns a store.
func newStore(db *postgres.DB) *store { return &store{db: db} }

func (s *store) inTx(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{}, fn)
}

// count counts one email, and returns the number of emails of its kind to the recipient
// in this hour. Until the transaction ends, no other transaction counts one for the same
// recipient and kind.
func (s *store) count(ctx context.Context, tx pgx.Tx, recipient []byte, kind Kind, now time.Time) (int, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[int], `INSERT INTO letter_counts AS c (recipient, kind, begins_at, letters)
		VALUES ($1, $2, $3, 1)
		ON CONFLICT (recipient, kind) DO UPDATE SET
			begins_at = CASE WHEN c.begins_at <= $3 - interval '1 hour' THEN $3 ELSE c.begins_at END,
			letters = CASE WHEN c.begins_at <= $3 - interval '1 hour' THEN 1 ELSE c.letters + 1 END
		RETURNING letters`, recipient, string(kind), now)
}

// sweepMost bounds one statement of a sweep, so that it locks few rows.
const sweepMost = 1000

// deleteCounts deletes the counts of hours that began before a time.
func (s *store) deleteCounts(ctx context.Context, before time.Time) error {
	for {
		n, err := postgres.Exec(ctx, s.db, postgres.Scope{}, `DELETE FROM letter_counts WHERE ctid IN (
			SELECT ctid FROM letter_counts WHERE begins_at < $1 ORDER BY begins_at LIMIT $2 FOR UPDATE SKIP LOCKED)`, before, sweepMost)
		if err != nil || n < sweepMost {
			return err
		}
	}
}
