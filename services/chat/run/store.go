package run

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/conversation"
)

// replayPage is how many events a reader takes from the database at once.
const replayPage = 500

const selection = `SELECT id::text, conversation_id::text, user_message_id::text, message_id::text, state, last_seq,
	cancel_requested, request_hash, problem, input_tokens, output_tokens, estimated, created_at, updated_at, finished_at IS NOT NULL,
	missing_collection_ids::text[], coalesce(missing_assistant_id::text, '')
	FROM runs WHERE organization_id = $1 AND user_id = $2`

func scan(row pgx.CollectableRow) (Run, error) {
	var (
		r         Run
		state     int32
		why       []byte
		in, out   int64
		estimated bool
	)
	err := row.Scan(&r.ID, &r.ConversationID, &r.UserMessageID, &r.MessageID, &state, &r.LastSeq, &r.CancelRequested,
		&r.RequestHash, &why, &in, &out, &estimated, &r.CreateTime, &r.UpdateTime, &r.Finished,
		&r.MissingCollectionIDs, &r.MissingAssistantID)
	if err != nil {
		return r, err
	}
	r.State = chatv1.Run_State(state)
	r.Usage = &chatv1.Usage{InputTokens: int32(in), OutputTokens: int32(out), Estimated: estimated} //nolint:gosec // written from int32
	if why == nil {
		return r, nil
	}
	r.Problem = &faultv1.Problem{}
	if err := proto.Unmarshal(why, r.Problem); err != nil {
		return r, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "a stored problem cannot be read")
	}
	return r, nil
}

func (m *Manager) get(ctx context.Context, scope postgres.Scope, id string) (Run, error) {
	r, err := postgres.QueryOne(ctx, m.db, scope, scan, selection+" AND id = $3", scope.OrganizationID, scope.UserID, id)
	return r, postgres.NotFound(err, "run")
}

// Get returns a run of a user.
func (m *Manager) Get(ctx context.Context, scope postgres.Scope, id string) (*chatv1.Run, error) {
	r, err := m.get(ctx, scope, id)
	if err != nil {
		return nil, err
	}
	return encode(r), nil
}

const byKey = selection + " AND conversation_id = $3 AND idempotency_key = $4 AND created_at > $5"

// keyLifetime is how long a key is remembered, as with every other RPC.
const keyLifetime = 24 * time.Hour

// withKey finds the run that a key started and is still remembered for.
func (m *Manager) withKey(ctx context.Context, scope postgres.Scope, conversationID, key string) (Run, error) {
	return postgres.QueryOne(ctx, m.db, scope, scan, byKey,
		scope.OrganizationID, scope.UserID, conversationID, key, m.clock.Now().Add(-keyLifetime))
}

// takeKey tells whether a key is remembered. One that was last used too long ago
// is made new.
func (m *Manager) takeKey(ctx context.Context, tx pgx.Tx, scope postgres.Scope, conversationID, key string) (taken bool, err error) {
	remembered := m.clock.Now().Add(-keyLifetime)
	_, err = postgres.TxOne(ctx, tx, scan, byKey, scope.OrganizationID, scope.UserID, conversationID, key, remembered)
	if err == nil || !errors.Is(err, postgres.ErrNoRows) {
		return err == nil, err
	}
	_, err = postgres.TxExec(ctx, tx, `UPDATE runs SET idempotency_key = NULL
		WHERE organization_id = $1 AND user_id = $2 AND conversation_id = $3 AND idempotency_key = $4 AND created_at <= $5`,
		scope.OrganizationID, scope.UserID, conversationID, key, remembered)
	return false, err
}

// insert adds a run, with its first reservation of numbers. A second live run
// in the same conversation is refused.
func (m *Manager) insert(ctx context.Context, tx pgx.Tx, scope postgres.Scope, r Run, key string) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO runs (organization_id, id, user_id, conversation_id, user_message_id, message_id,
		state, owner, lease_until, idempotency_key, request_hash, created_at, updated_at, reserved_seq,
		missing_collection_ids, missing_assistant_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now() + $9::interval, nullif($10, ''), $11, $12, $12, $13,
			coalesce($14::text[]::uuid[], '{}'), nullif($15, '')::uuid)`,
		scope.OrganizationID, r.ID, scope.UserID, r.ConversationID, r.UserMessageID, r.MessageID, int32(r.State),
		m.owner, m.cfg.Lease, key, r.RequestHash, r.CreateTime, m.cfg.Block,
		r.MissingCollectionIDs, r.MissingAssistantID)
	if name, ok := postgres.ViolatedConstraint(err); ok && name == "runs_live" {
		return fault.Wrap(err, faultv1.Reason_REASON_RUN_IN_PROGRESS, "the conversation's last message is still being answered")
	}
	return err
}

// events returns a page of a run's stored events after a position.
func (m *Manager) events(ctx context.Context, scope postgres.Scope, runID string, after int32) ([]*chatv1.RunEvent, error) {
	return postgres.QueryAll(ctx, m.db, scope, func(row pgx.CollectableRow) (*chatv1.RunEvent, error) {
		var payload []byte
		event := &chatv1.RunEvent{}
		if err := row.Scan(&payload); err != nil {
			return nil, err
		}
		if err := proto.Unmarshal(payload, event); err != nil {
			return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "a stored event cannot be read")
		}
		return event, nil
	}, "SELECT payload FROM run_events WHERE organization_id = $1 AND run_id = $2 AND seq > $3 ORDER BY seq LIMIT $4",
		scope.OrganizationID, runID, after, replayPage)
}

// Cancel asks for a run to stop and returns it as it stands.
func (m *Manager) Cancel(ctx context.Context, scope postgres.Scope, id string) (*chatv1.Run, error) {
	var r Run
	err := m.db.InTx(ctx, scope, func(ctx context.Context, tx pgx.Tx) error {
		var err error
		if r, err = postgres.TxOne(ctx, tx, scan, selection+" AND id = $3 FOR UPDATE", scope.OrganizationID, scope.UserID, id); err != nil {
			return postgres.NotFound(err, "run")
		}
		if r.Finished {
			return fault.New(faultv1.Reason_REASON_RUN_FINISHED, "the run has ended")
		}
		if _, err = postgres.TxExec(ctx, tx, "UPDATE runs SET cancel_requested = true WHERE organization_id = $1 AND user_id = $2 AND id = $3",
			scope.OrganizationID, scope.UserID, id); err != nil {
			return err
		}
		return postgres.Notify(ctx, tx, conversation.CancelChannel, id)
	})
	if err != nil {
		return nil, err
	}
	m.cancelLocal(id)
	return encode(r), nil
}

// claimed is a run whose owner had died, now ours.
type claimed struct {
	scope    postgres.Scope
	run      Run
	attempt  int32
	reserved int32 // readers may have seen events up to this number
}

func (m *Manager) claim(ctx context.Context) ([]claimed, error) {
	return postgres.QueryAll(ctx, m.db, postgres.Scope{}, func(row pgx.CollectableRow) (claimed, error) {
		var (
			c  claimed
			at time.Time
		)
		err := row.Scan(&c.scope.OrganizationID, &c.scope.UserID, &c.run.ID, &c.run.ConversationID, &c.run.MessageID,
			&c.attempt, &c.reserved, &at)
		c.run.CreateTime, c.run.UpdateTime, c.run.State = at, at, chatv1.Run_QUEUED
		return c, err
	}, "SELECT * FROM claim_lost_runs($1, $2::interval, $3)", m.owner, m.cfg.Lease, sweepLimit)
}
