package conversation

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/line"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// historyLimit is how many messages are read for a model. The engine shortens the history
// further, by tokens.
const historyLimit = 100

// messages declares the order of a list of messages.
var messages = paging.List{ //nolint:gochecknoglobals // a constant table
	Name:         "messages",
	ID:           "id",
	Fields:       map[string]paging.Field{"createTime": {Column: "created_at", Type: paging.Time, Order: true}},
	DefaultOrder: "createTime",
}

const messageSelection = `SELECT id::text, conversation_id::text, coalesce(parent_id::text, ''), role, content, details,
	coalesce(run_id::text, ''), created_at FROM messages
	WHERE organization_id = $1 AND user_id = $2 AND conversation_id = $3`

// scanMessage reads a message directly in the form of the contract, as messages have no
// rules of their own.
func scanMessage(row pgx.CollectableRow) (*chatv1.Message, error) {
	var (
		m       chatv1.Message
		role    int32
		details []byte
		at      time.Time
		answer  chatv1.AnsweredMessage
	)
	if err := row.Scan(&m.Id, &m.ConversationId, &m.ParentMessageId, &role, &m.Content, &details, &m.RunId, &at); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(details, &answer); err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "a stored message cannot be read")
	}
	m.Role, m.CreateTime = chatv1.Message_Role(role), timestamppb.New(at)
	m.Citations, m.Flags, m.Model, m.Usage = answer.GetCitations(), answer.GetFlags(), answer.GetModel(), answer.GetUsage()
	return &m, nil
}

// AddMessage stores a user's message at the end of a conversation that the transaction has
// locked. The message becomes the title of a conversation without one. Its time becomes
// later than the time of the message before, which another machine may have written.
func (s *Store) AddMessage(ctx context.Context, tx pgx.Tx, scope postgres.Scope, m *chatv1.Message) error {
	at, err := postgres.TxOne(ctx, tx, pgx.RowTo[time.Time], `INSERT INTO messages
		(organization_id, id, user_id, conversation_id, parent_id, role, content, created_at)
		VALUES ($1, $2, $3, $4, nullif($5, '')::uuid, $6, $7, greatest($8, (SELECT max(created_at) + interval '1 microsecond'
			FROM messages WHERE organization_id = $1 AND user_id = $3 AND conversation_id = $4)))
		RETURNING created_at`,
		scope.OrganizationID, m.GetId(), scope.UserID, m.GetConversationId(), m.GetParentMessageId(), int32(m.GetRole()),
		m.GetContent(), m.GetCreateTime().AsTime())
	if err != nil {
		return err
	}
	m.CreateTime = timestamppb.New(at)
	_, err = postgres.TxExec(ctx, tx, `UPDATE conversations SET last_message_at = $4,
		title = CASE WHEN title = '' THEN left($5, 80) ELSE title END
		WHERE organization_id = $1 AND user_id = $2 AND id = $3`,
		scope.OrganizationID, scope.UserID, m.GetConversationId(), m.GetCreateTime().AsTime(), line.Clean(m.GetContent()))
	return err
}

// History returns the newest messages of a conversation, oldest first.
func (s *Store) History(ctx context.Context, scope postgres.Scope, conversationID string) ([]*chatv1.Message, error) {
	return postgres.QueryAll(ctx, s.db, scope, scanMessage,
		"SELECT * FROM ("+messageSelection+" ORDER BY created_at DESC, messages.id DESC LIMIT $4) newest ORDER BY created_at, id",
		scope.OrganizationID, scope.UserID, conversationID, historyLimit)
}

// LastMessageID returns the id of a conversation's newest message, or "".
func (s *Store) LastMessageID(ctx context.Context, tx pgx.Tx, scope postgres.Scope, conversationID string) (string, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[string], `SELECT coalesce((SELECT id::text FROM messages
		WHERE organization_id = $1 AND user_id = $2 AND conversation_id = $3
		ORDER BY created_at DESC, messages.id DESC LIMIT 1), '')`, scope.OrganizationID, scope.UserID, conversationID)
}

// Message returns one message of a user.
func (s *Store) Message(ctx context.Context, scope postgres.Scope, conversationID, id string) (*chatv1.Message, error) {
	m, err := postgres.QueryOne(ctx, s.db, scope, scanMessage, messageSelection+" AND messages.id = $4",
		scope.OrganizationID, scope.UserID, conversationID, id)
	return m, postgres.NotFound(err, resourceType)
}

// Messages returns a page of a conversation's messages, oldest first.
func (s *Store) Messages(ctx context.Context, scope postgres.Scope, conversationID string, req paging.Request) ([]*chatv1.Message, string, error) {
	if _, err := s.Get(ctx, scope, conversationID); err != nil {
		return nil, "", err
	}
	return paging.Read(ctx, s.db, scope, paging.Query[*chatv1.Message]{
		List: messages, Tokens: s.tokens, Request: req,
		SQL: messageSelection, Args: []any{scope.OrganizationID, scope.UserID, conversationID}, Scan: scanMessage,
		Value: func(m *chatv1.Message, field string) any {
			if field == "createTime" {
				return m.GetCreateTime().AsTime()
			}
			return m.GetId()
		},
	})
}
