package ticket

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// store keeps tickets in Postgres.
type store struct{ db *postgres.DB }

func (s *store) insert(ctx context.Context, scope postgres.Scope, runID string, hash, principal []byte, expires time.Time) error {
	_, err := postgres.Exec(ctx, s.db, scope, `
		INSERT INTO event_tickets (organization_id, ticket_hash, user_id, run_id, principal, expires_at)
		VALUES ($1, $2, $3, $4, $5::jsonb, $6)`,
		scope.OrganizationID, hash, scope.UserID, runID, string(principal), expires)
	return err
}

// redeem deletes a ticket and returns its run and its principal, or UNAUTHENTICATED.
func (s *store) redeem(ctx context.Context, hash []byte, now time.Time) (runID string, principal []byte, err error) {
	type redeemed struct {
		RunID     string
		Principal []byte
	}
	found, err := postgres.QueryOne(ctx, s.db, postgres.Scope{}, pgx.RowToStructByPos[redeemed],
		"SELECT run_id::text, principal::text::bytea FROM redeem_event_ticket($1, $2)", hash, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return "", nil, identity.Unauthenticated()
	}
	return found.RunID, found.Principal, err
}

// sweep deletes the tickets that have expired.
func (s *store) sweep(ctx context.Context, now time.Time) error {
	_, err := postgres.Sweep(ctx, s.db, "delete_expired_event_tickets", now)
	return err
}
