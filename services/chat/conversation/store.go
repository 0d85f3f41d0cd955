package conversation

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// CancelChannel announces the id of a run that must stop.
const CancelChannel = "chat_run_cancel"

// listing declares the filters and the order of a list of conversations.
var listing = paging.List{ //nolint:gochecknoglobals // a constant table
	Name: "conversations",
	ID:   "id",
	Fields: map[string]paging.Field{
		"title":       {Column: "title", Type: paging.String, Filter: true, Order: true},
		"assistantId": {Column: "assistant_id", Type: paging.UUID, Filter: true},
		"createTime":  {Column: "created_at", Type: paging.Time, Filter: true, Order: true},
		"updateTime":  {Column: "updated_at", Type: paging.Time, Filter: true, Order: true},
	},
	DefaultOrder: "createTime desc",
}

// selection selects conversations with their live runs. The columns of the run have
// distinct names, so that conditions need no qualifiers.
const selection = `SELECT organization_id::text, user_id::text, id::text, title, coalesce(assistant_id::text, ''),
	collection_ids::text[], revision, created_at, updated_at, last_message_at, run_id, run_state, run_seq
	FROM conversations LEFT JOIN LATERAL (
		SELECT r.id::text AS run_id, r.state AS run_state, r.last_seq AS run_seq FROM runs r
		WHERE r.organization_id = conversations.organization_id AND r.conversation_id = conversations.id
			AND r.finished_at IS NULL) active ON true
	WHERE organization_id = $1 AND user_id = $2`

// Store keeps conversations and messages in Postgres.
type Store struct {
	db     *postgres.DB
	tokens *paging.Tokens
}

// NewStore returns a store.
func NewStore(db *postgres.DB, tokens *paging.Tokens) *Store { return &Store{db: db, tokens: tokens} }

func scan(row pgx.CollectableRow) (Conversation, error) {
	var (
		c     Conversation
		runID *string
		state *int32
		seq   *int32
	)
	err := row.Scan(&c.OrganizationID, &c.UserID, &c.ID, &c.Title, &c.AssistantID, &c.CollectionIDs, &c.Revision,
		&c.CreateTime, &c.UpdateTime, &c.LastMessageTime, &runID, &state, &seq)
	if err == nil && runID != nil {
		c.Active = &ActiveRun{ID: *runID, State: chatv1.Run_State(*state), LastSeq: *seq}
	}
	return c, err
}

// insert adds a conversation.
func (s *Store) insert(ctx context.Context, c Conversation) error {
	_, err := postgres.Exec(ctx, s.db, postgres.Scope{OrganizationID: c.OrganizationID, UserID: c.UserID},
		`INSERT INTO conversations (organization_id, id, user_id, title, assistant_id, collection_ids, revision, created_at, updated_at)
		VALUES ($1, $2, $3, $4, nullif($5, '')::uuid, $6::text[]::uuid[], $7, $8, $9)`,
		c.OrganizationID, c.ID, c.UserID, c.Title, c.AssistantID, c.CollectionIDs, c.Revision, c.CreateTime, c.UpdateTime)
	return err
}

// Get returns a conversation of a user, or NOT_FOUND.
func (s *Store) Get(ctx context.Context, scope postgres.Scope, id string) (Conversation, error) {
	c, err := postgres.QueryOne(ctx, s.db, scope, scan, selection+" AND id = $3", scope.OrganizationID, scope.UserID, id)
	return c, postgres.NotFound(err, resourceType)
}

// Lock returns a conversation of a user, or NOT_FOUND, and locks it until the transaction
// ends.
func (s *Store) Lock(ctx context.Context, tx pgx.Tx, scope postgres.Scope, id string) (Conversation, error) {
	c, err := postgres.TxOne(ctx, tx, scan, selection+" AND id = $3 FOR NO KEY UPDATE OF conversations",
		scope.OrganizationID, scope.UserID, id)
	return c, postgres.NotFound(err, resourceType)
}

// change locks a conversation, calls edit and stores the conversation that edit returns.
func (s *Store) change(ctx context.Context, scope postgres.Scope, id string, edit func(Conversation) (Conversation, error)) (Conversation, error) {
	var c Conversation
	err := s.db.InTx(ctx, scope, func(ctx context.Context, tx pgx.Tx) error {
		before, err := s.Lock(ctx, tx, scope, id)
		if err != nil {
			return err
		}
		if c, err = edit(before); err != nil {
			return err
		}
		_, err = postgres.TxExec(ctx, tx, `UPDATE conversations SET title = $4, assistant_id = nullif($5, '')::uuid,
			collection_ids = $6::text[]::uuid[], revision = $7, updated_at = $8
			WHERE organization_id = $1 AND user_id = $2 AND id = $3`,
			scope.OrganizationID, scope.UserID, id, c.Title, c.AssistantID, c.CollectionIDs, c.Revision, c.UpdateTime)
		return err
	})
	return c, err
}

// delete deletes a conversation, its messages and its runs. A live run is announced on
// [CancelChannel].
func (s *Store) delete(ctx context.Context, scope postgres.Scope, id, etag string) error {
	return s.db.InTx(ctx, scope, func(ctx context.Context, tx pgx.Tx) error {
		c, err := s.Lock(ctx, tx, scope, id)
		if err != nil {
			return err
		}
		if err := fault.CheckEtag(resourceType, etag, c.Etag()); err != nil {
			return err
		}
		if c.Active != nil {
			if err := postgres.Notify(ctx, tx, CancelChannel, c.Active.ID); err != nil {
				return err
			}
		}
		_, err = postgres.TxExec(ctx, tx, "DELETE FROM conversations WHERE organization_id = $1 AND user_id = $2 AND id = $3",
			scope.OrganizationID, scope.UserID, id)
		return err
	})
}

// list returns a page of a user's conversations.
func (s *Store) list(ctx context.Context, scope postgres.Scope, req paging.Request) ([]Conversation, string, error) {
	return paging.Read(ctx, s.db, scope, paging.Query[Conversation]{
		List: listing, Tokens: s.tokens, Request: req,
		SQL: selection, Args: []any{scope.OrganizationID, scope.UserID}, Scan: scan,
	})
}

// Page returns a page of a user's conversations in an organization, and the token of the
// next page.
func (s *Store) Page(ctx context.Context, scope postgres.Scope, req paging.Request) ([]*chatv1.Conversation, string, error) {
	items, next, err := s.list(ctx, scope, req)
	out := make([]*chatv1.Conversation, len(items))
	for i, c := range items {
		out[i] = encode(c)
	}
	return out, next, err
}
