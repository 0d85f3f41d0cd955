package run

import (
	"bytes"
	"context"
	"errors"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// start stores message and run in one transaction, and executes the run.
func (m *Manager) start(ctx context.Context, scope postgres.Scope, req *chatv1.SendMessageRequest, p plan, key string, sum []byte,
) (*chatv1.StartMessageResponse, bool, error) {
	if err := m.reserve(); err != nil {
		return nil, false, err
	}
	now := clock.Stamp(m.clock)
	message := &chatv1.Message{
		Id: id.New(), ConversationId: req.GetConversationId(), Role: chatv1.Message_USER, Content: req.GetContent(), CreateTime: timestamppb.New(now),
	}
	r := Run{
		ID: id.New(), ConversationID: req.GetConversationId(), UserMessageID: message.GetId(), MessageID: id.New(),
		State: chatv1.Run_QUEUED, RequestHash: sum, CreateTime: now, UpdateTime: now,
		MissingCollectionIDs: p.missingCollections, MissingAssistantID: p.missingAssistant,
	}
	raced, err := m.commitStart(ctx, scope, r, message, key)
	if err != nil || raced {
		m.executors.Done()
		if raced {
			before, err := m.byKey(ctx, scope, r.ConversationID, key, sum)
			return before, true, err
		}
		return nil, false, err
	}
	m.launch(ctx, scope, r, p.request)
	return &chatv1.StartMessageResponse{Run: encode(r), UserMessage: message}, false, nil
}

// commitStart is the transaction of a start, when its turn has come.
func (m *Manager) commitStart(ctx context.Context, scope postgres.Scope, r Run, message *chatv1.Message, key string) (raced bool, err error) {
	leave, err := m.queue(ctx, scope)
	if err != nil {
		return false, err
	}
	defer leave()
	err = m.db.InTx(ctx, scope, func(ctx context.Context, tx postgres.Tx) error {
		var err error
		raced, err = m.storeStart(ctx, tx, scope, r, message, key)
		return err
	})
	return raced, err
}

// storeStart adds message and run to their conversation, which it locks, so
// that of two requests with the same key the second sees the first.
func (m *Manager) storeStart(ctx context.Context, tx postgres.Tx, scope postgres.Scope, r Run, message *chatv1.Message, key string) (raced bool, err error) {
	if _, err := m.conversations.Lock(ctx, tx, scope, r.ConversationID); err != nil {
		return false, err
	}
	if key != "" {
		taken, err := m.takeKey(ctx, tx, scope, r.ConversationID, key)
		if err != nil || taken {
			return taken, err
		}
	}
	if message.ParentMessageId, err = m.conversations.LastMessageID(ctx, tx, scope, r.ConversationID); err != nil {
		return false, err
	}
	if err := m.conversations.AddMessage(ctx, tx, scope, message); err != nil {
		return false, err
	}
	if err := m.admit(ctx, tx, scope); err != nil {
		return false, err
	}
	return false, m.insert(ctx, tx, scope, r, key)
}

// byKey finds what a request with the same key started, or nil.
func (m *Manager) byKey(ctx context.Context, scope postgres.Scope, conversationID, key string, sum []byte) (*chatv1.StartMessageResponse, error) {
	if key == "" {
		return nil, nil //nolint:nilnil // no key, no predecessor
	}
	r, err := m.withKey(ctx, scope, conversationID, key)
	if errors.Is(err, postgres.ErrNoRows) {
		return nil, nil //nolint:nilnil // the key is new
	}
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(r.RequestHash, sum) {
		return nil, fault.New(faultv1.Reason_REASON_IDEMPOTENCY_MISMATCH, "the idempotency key was used for another message")
	}
	message, err := m.conversations.Message(ctx, scope, conversationID, r.UserMessageID)
	if err != nil {
		return nil, err
	}
	return &chatv1.StartMessageResponse{Run: encode(r), UserMessage: message}, nil
}
