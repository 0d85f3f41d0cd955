package run

import (
	"bytes"
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/conversation"
	"github.com/gatehouse/gatehouse/services/chat/engine"
)

// launcher executes stored runs. The [executor] implements it.
type launcher interface {
	// reserve makes room for a run; launch or release must follow.
	reserve() error
	// launch executes the run and returns at once.
	launch(ctx context.Context, scope postgres.Scope, r Run, req engine.Request)
	// release gives back a reservation that was not used.
	release()
}

// starter stores messages with their runs, and passes the runs to the launcher.
//
// It is safe for concurrent use. Each call runs on the goroutine of its request. gates
// bounds how many calls hold a database connection at once; the database orders the
// calls of one conversation.
type starter struct {
	store         *store
	conversations *conversation.Store
	launcher      launcher
	clock         clock.Clock
	gates         gates
	limited       bool // whether the number of runs at once has a limit
}

func newStarter(cfg Config, deps Deps, s *store, to launcher) *starter {
	return &starter{store: s, conversations: deps.Conversations, launcher: to, clock: deps.Clock, limited: cfg.limited()}
}

// start stores a message and its run in one transaction, and executes the run. When a
// concurrent request has used the same idempotency key, it returns the run of that
// request, and reports that it was replayed.
func (s *starter) start(ctx context.Context, scope postgres.Scope, req *chatv1.SendMessageRequest, p plan, key idempotencyKey,
) (out *chatv1.StartMessageResponse, replayed bool, err error) {
	if err := s.launcher.reserve(); err != nil {
		return nil, false, err
	}
	now := clock.Stamp(s.clock)
	message := &chatv1.Message{
		Id: id.New(), ConversationId: req.GetConversationId(), Role: chatv1.Message_USER, Content: req.GetContent(), CreateTime: timestamppb.New(now),
	}
	r := Run{
		ID: id.New(), ConversationID: req.GetConversationId(), UserMessageID: message.GetId(), MessageID: id.New(),
		State: chatv1.Run_QUEUED, RequestHash: key.requestHash, CreateTime: now, UpdateTime: now,
		MissingCollectionIDs: p.missingCollections, MissingAssistantID: p.missingAssistant,
	}
	raced, err := s.commit(ctx, scope, r, message, key.value)
	if err != nil || raced {
		s.launcher.release()
		if raced {
			out, _, err = s.previous(ctx, scope, r.ConversationID, key)
		}
		return out, raced, err
	}
	s.launcher.launch(ctx, scope, r, p.request)
	return &chatv1.StartMessageResponse{Run: encode(r), UserMessage: message}, false, nil
}

// commit stores a message and its run in one transaction. It reports whether another
// request has used the key since it was looked up.
func (s *starter) commit(ctx context.Context, scope postgres.Scope, r Run, message *chatv1.Message, key string) (raced bool, err error) {
	leave, err := s.queue(ctx, scope)
	if err != nil {
		return false, err
	}
	defer leave()
	err = s.store.db.InTx(ctx, scope, func(ctx context.Context, tx postgres.Tx) error {
		var err error
		raced, err = s.add(ctx, tx, scope, r, message, key)
		return err
	})
	return raced, err
}

// add adds message and run to their conversation. It locks the conversation, so that of
// two requests with the same key the second finds the first.
func (s *starter) add(ctx context.Context, tx postgres.Tx, scope postgres.Scope, r Run, message *chatv1.Message, key string) (raced bool, err error) {
	if _, err := s.conversations.Lock(ctx, tx, scope, r.ConversationID); err != nil {
		return false, err
	}
	if key != "" {
		used, err := s.store.takeKey(ctx, tx, scope, r.ConversationID, key)
		if err != nil || used {
			return used, err
		}
	}
	if message.ParentMessageId, err = s.conversations.LastMessageID(ctx, tx, scope, r.ConversationID); err != nil {
		return false, err
	}
	if err := s.conversations.AddMessage(ctx, tx, scope, message); err != nil {
		return false, err
	}
	if err := s.store.admit(ctx, tx, scope); err != nil {
		return false, err
	}
	return false, s.store.insert(ctx, tx, scope, r, key)
}

// previous returns what an earlier request with the same key has started. It reports
// false when there is none.
func (s *starter) previous(ctx context.Context, scope postgres.Scope, conversationID string, key idempotencyKey) (*chatv1.StartMessageResponse, bool, error) {
	if key.value == "" {
		return nil, false, nil
	}
	r, found, err := s.store.byKey(ctx, scope, conversationID, key.value)
	if err != nil || !found {
		return nil, false, err
	}
	if !bytes.Equal(r.RequestHash, key.requestHash) {
		return nil, false, fault.New(faultv1.Reason_REASON_IDEMPOTENCY_MISMATCH, "the idempotency key was used for another message")
	}
	message, err := s.conversations.Message(ctx, scope, conversationID, r.UserMessageID)
	if err != nil {
		return nil, false, err
	}
	return &chatv1.StartMessageResponse{Run: encode(r), UserMessage: message}, true, nil
}

// queue waits for the turn of a start before it takes a database connection. It enters
// the gates always in this order, so that no two starts wait for each other.
func (s *starter) queue(ctx context.Context, scope postgres.Scope) (leave func(), err error) {
	if !s.limited {
		return func() {}, nil
	}
	leaveUser, err := s.gates.enter(ctx, "user "+scope.UserID)
	if err != nil {
		return nil, err
	}
	leaveOrganization, err := s.gates.enter(ctx, "organization "+scope.OrganizationID)
	if err != nil {
		leaveUser()
		return nil, err
	}
	return func() {
		leaveOrganization()
		leaveUser()
	}, nil
}
