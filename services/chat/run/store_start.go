package run

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// keyLifetime is how long an idempotency key is remembered, as with every other RPC.
	keyLifetime = 24 * time.Hour
	// fullRetry is how long a client waits after a start was refused for too many runs.
	fullRetry = 5 * time.Second
)

const selectByKey = selection + " AND conversation_id = $3 AND idempotency_key = $4 AND created_at > $5"

// byKey returns the run that was started with an idempotency key. It reports false when
// there is none, or when the key is too old to be remembered.
func (s *store) byKey(ctx context.Context, scope postgres.Scope, conversationID, key string) (Run, bool, error) {
	r, err := postgres.QueryOne(ctx, s.db, scope, scan, selectByKey,
		scope.OrganizationID, scope.UserID, conversationID, key, s.remembered())
	if errors.Is(err, postgres.ErrNoRows) {
		return Run{}, false, nil
	}
	return r, err == nil, err
}

// takeKey reports whether an idempotency key is in use. It releases a key that is too
// old to be remembered.
func (s *store) takeKey(ctx context.Context, tx pgx.Tx, scope postgres.Scope, conversationID, key string) (used bool, err error) {
	remembered := s.remembered()
	_, err = postgres.TxOne(ctx, tx, scan, selectByKey, scope.OrganizationID, scope.UserID, conversationID, key, remembered)
	if err == nil || !errors.Is(err, postgres.ErrNoRows) {
		return err == nil, err
	}
	_, err = postgres.TxExec(ctx, tx, `UPDATE runs SET idempotency_key = NULL
		WHERE organization_id = $1 AND user_id = $2 AND conversation_id = $3 AND idempotency_key = $4 AND created_at <= $5`,
		scope.OrganizationID, scope.UserID, conversationID, key, remembered)
	return false, err
}

// remembered is the time after which the keys of runs are remembered.
func (s *store) remembered() time.Time { return s.clock.Now().Add(-keyLifetime) }

// insert adds a run, with its first reservation of numbers. A second live run in the same
// conversation is refused.
func (s *store) insert(ctx context.Context, tx pgx.Tx, scope postgres.Scope, r Run, key string) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO runs (organization_id, id, user_id, conversation_id, user_message_id, message_id,
		state, owner, lease_until, idempotency_key, request_hash, created_at, updated_at, reserved_seq,
		missing_collection_ids, missing_assistant_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now() + $9::interval, nullif($10, ''), $11, $12, $12, $13,
			coalesce($14::text[]::uuid[], '{}'), nullif($15, '')::uuid)`,
		scope.OrganizationID, r.ID, scope.UserID, r.ConversationID, r.UserMessageID, r.MessageID, int32(r.State),
		s.owner, s.cfg.Lease, key, r.RequestHash, r.CreateTime, s.cfg.Block,
		r.MissingCollectionIDs, r.MissingAssistantID)
	if name, ok := postgres.ViolatedConstraint(err); ok && name == "runs_live" {
		return fault.Wrap(err, faultv1.Reason_REASON_RUN_IN_PROGRESS, "the conversation's last message is still being answered")
	}
	return err
}

// admit refuses a run when the user or the organization already has as many runs as it
// may have. It must be the last step before the run is added, because other starts of the
// same user and organization wait until the transaction ends.
func (s *store) admit(ctx context.Context, tx pgx.Tx, scope postgres.Scope) error {
	if !s.cfg.limited() {
		return nil
	}
	full, err := postgres.TxOne(ctx, tx, pgx.RowTo[string], "SELECT admit_run($1::text::uuid, $2::text::uuid, $3, $4)",
		scope.OrganizationID, scope.UserID, s.cfg.PerUser, s.cfg.PerOrganization)
	if err != nil {
		return err
	}
	switch full {
	case "user":
		return tooMany("%d of your messages are being answered, which is the most at once: wait until one is, or cancel one", s.cfg.PerUser)
	case "organization":
		return tooMany("%d messages are being answered in this organization, which is the most at once: try again later", s.cfg.PerOrganization)
	}
	return nil
}

func tooMany(format string, limit int32) error {
	return fault.New(faultv1.Reason_REASON_RATE_LIMITED, format, limit).WithRetryAfter(fullRetry)
}
