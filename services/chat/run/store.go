package run

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/conversation"
)

const (
	// replayPage is how many events one query returns at most.
	replayPage = 500
	// claimLimit is how many lost runs one sweep claims at most.
	claimLimit = 100
)

const selection = `SELECT id::text, conversation_id::text, user_message_id::text, message_id::text, state, last_seq,
	cancel_requested, request_hash, problem, input_tokens, output_tokens, estimated, created_at, updated_at, finished_at IS NOT NULL,
	missing_collection_ids::text[], coalesce(missing_assistant_id::text, '')
	FROM runs WHERE organization_id = $1 AND user_id = $2`

// store holds the queries of runs. It keeps nothing between calls, so any goroutine may
// use it.
type store struct {
	db    *postgres.DB
	clock clock.Clock
	cfg   Config
	owner string // the id of this process in the database
}

func newStore(db *postgres.DB, clk clock.Clock, cfg Config, owner string) *store {
	return &store{db: db, clock: clk, cfg: cfg, owner: owner}
}

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

// get returns a run of a user, or NOT_FOUND.
func (s *store) get(ctx context.Context, scope postgres.Scope, id string) (Run, error) {
	r, err := postgres.QueryOne(ctx, s.db, scope, scan, selection+" AND id = $3", scope.OrganizationID, scope.UserID, id)
	return r, postgres.NotFound(err, resourceType)
}

// events returns a page of a run's stored events after a position.
func (s *store) events(ctx context.Context, scope postgres.Scope, runID string, after int32) ([]*chatv1.RunEvent, error) {
	return postgres.QueryAll(ctx, s.db, scope, func(row pgx.CollectableRow) (*chatv1.RunEvent, error) {
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

// cancel requests that a run stops, and announces the request to all processes. It
// returns the run as it was before.
func (s *store) cancel(ctx context.Context, scope postgres.Scope, id string) (Run, error) {
	var r Run
	err := s.db.InTx(ctx, scope, func(ctx context.Context, tx pgx.Tx) error {
		var err error
		if r, err = postgres.TxOne(ctx, tx, scan, selection+" AND id = $3 FOR UPDATE", scope.OrganizationID, scope.UserID, id); err != nil {
			return postgres.NotFound(err, resourceType)
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
	return r, err
}

// claimed is a run that this process has claimed after its lease expired.
type claimed struct {
	scope    postgres.Scope
	run      Run
	attempt  int32
	reserved int32 // readers may have seen events up to this number
}

// claim makes this process the owner of runs whose leases have expired.
func (s *store) claim(ctx context.Context) ([]claimed, error) {
	return postgres.QueryAll(ctx, s.db, postgres.Scope{}, func(row pgx.CollectableRow) (claimed, error) {
		var (
			c  claimed
			at time.Time
		)
		err := row.Scan(&c.scope.OrganizationID, &c.scope.UserID, &c.run.ID, &c.run.ConversationID, &c.run.MessageID,
			&c.attempt, &c.reserved, &at)
		c.run.CreateTime, c.run.UpdateTime, c.run.State = at, at, chatv1.Run_QUEUED
		return c, err
	}, "SELECT * FROM claim_lost_runs($1, $2::interval, $3)", s.owner, s.cfg.Lease, claimLimit)
}

// ping reports an error when the database is unavailable.
func (s *store) ping(ctx context.Context) error { return s.db.Ping(ctx) }
