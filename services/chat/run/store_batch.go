package run

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

// append stores a batch. It returns the runs that the owner of the batch still has, and
// for each whether its cancellation was requested. The events of other runs are not
// stored.
func (s *store) append(ctx context.Context, b *batch, began time.Time) (map[string]bool, error) {
	type written struct {
		ID     string
		Cancel bool
	}
	rows, err := postgres.QueryAll(ctx, s.db, postgres.Scope{}, pgx.RowToStructByPos[written],
		`SELECT run_id, cancel_requested FROM append_run_events($1, $2::interval, $3, $4::text[]::uuid[], $5::text[]::uuid[], $6::int[], $7::int[], $8::int[],
			$9::smallint[], $10::boolean[], $11::text[], $12::bytea[], $13::bytea[], $14::bigint[], $15::bigint[], $16::boolean[],
			$17::text[]::uuid[], $18::int[], $19::bytea[], $20, $21)`,
		b.owner, b.lease, began, b.organizations, b.runs, b.attempts, b.seqs, b.reserved, b.states, b.ended, b.contents, b.details,
		b.problems, b.inputs, b.outputs, b.estimated, b.eventRuns, b.eventSeqs, b.eventPayloads, eventsChannel, b.notification())
	if err != nil {
		return nil, err
	}
	owned := make(map[string]bool, len(rows))
	for _, row := range rows {
		owned[row.ID] = row.Cancel
	}
	return owned, nil
}
