package run

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
	"github.com/gatehouse/gatehouse/services/chat/conversation"
	"github.com/gatehouse/gatehouse/services/chat/engine"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

const (
	// headerFinished tells a reader that it has seen the end of the run.
	headerFinished = "x-gatehouse-run-finished"
	// headerReplayed tells that the idempotency key was used before.
	headerReplayed = "idempotency-replayed"
)

// Assistants finds assistants, which another service keeps.
type Assistants interface {
	// Resolve returns an assistant of an organization, or NOT_FOUND.
	Resolve(ctx context.Context, organizationID, id string) (*managementv1.Assistant, error)
}

// Collections guards the collections that a question may be answered from.
type Collections interface {
	// Check answers NOT_FOUND when the caller may not read one of them.
	Check(ctx context.Context, scope postgres.Scope, ids []string) error
}

// ServiceDeps is what the RPCs need; all of it.
type ServiceDeps struct {
	Manager     *Manager
	Models      *model.Registry
	Assistants  Assistants
	Collections Collections
}

// Service implements the RPCs of runs, and those of conversations that start
// them.
type Service struct {
	chatv1.UnsafeRunServiceServer

	manager     *Manager
	models      *model.Registry
	assistants  Assistants
	collections Collections
}

var _ conversation.Messenger = (*Service)(nil)

// NewService returns the service.
func NewService(deps ServiceDeps) (*Service, error) {
	if deps.Manager == nil || deps.Models == nil || deps.Assistants == nil || deps.Collections == nil {
		return nil, errors.New("run: every dependency is required")
	}
	return &Service{manager: deps.Manager, models: deps.Models, assistants: deps.Assistants, collections: deps.Collections}, nil
}

// GetRun implements the RPC.
func (s *Service) GetRun(ctx context.Context, req *chatv1.GetRunRequest) (*chatv1.Run, error) {
	scope, err := conversation.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return s.manager.Get(ctx, scope, req.GetId())
}

// CancelRun implements the RPC.
func (s *Service) CancelRun(ctx context.Context, req *chatv1.CancelRunRequest) (*chatv1.Run, error) {
	scope, err := conversation.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return s.manager.Cancel(ctx, scope, req.GetId())
}

// WatchRun implements the RPC.
func (s *Service) WatchRun(req *chatv1.WatchRunRequest, stream grpc.ServerStreamingServer[chatv1.RunEvent]) error {
	scope, err := conversation.Caller(stream.Context())
	if err != nil {
		return err
	}
	return s.manager.Watch(stream.Context(), scope, req.GetRunId(), req.GetAfterSeq(), reader(stream, metadata.MD{}))
}

// SendMessage implements the RPC of ConversationService.
func (s *Service) SendMessage(req *chatv1.SendMessageRequest, stream grpc.ServerStreamingServer[chatv1.RunEvent]) error {
	ctx := stream.Context()
	scope, err := conversation.Caller(ctx)
	if err != nil {
		return err
	}
	started, replayed, err := s.start(ctx, scope, req)
	if err != nil {
		return err
	}
	header := metadata.MD{}
	if replayed {
		header.Set(headerReplayed, "true")
	}
	return s.manager.Watch(ctx, scope, started.GetRun().GetId(), 0, reader(stream, header))
}

// StartMessage implements the RPC of ConversationService.
func (s *Service) StartMessage(ctx context.Context, req *chatv1.SendMessageRequest) (*chatv1.StartMessageResponse, error) {
	scope, err := conversation.Caller(ctx)
	if err != nil {
		return nil, err
	}
	out, replayed, err := s.start(ctx, scope, req)
	if err == nil && replayed {
		err = grpc.SetHeader(ctx, metadata.Pairs(headerReplayed, "true"))
	}
	return out, err
}

// reader is the reader at the other end of a stream.
func reader(stream grpc.ServerStreamingServer[chatv1.RunEvent], header metadata.MD) Reader {
	return Reader{
		Accept: func(finished bool) error {
			if finished {
				header.Set(headerFinished, "1")
			}
			return stream.SendHeader(header)
		},
		Send: stream.Send,
	}
}

// start stores a message and starts the run that answers it, or finds the run
// that the same key started before.
func (s *Service) start(ctx context.Context, scope postgres.Scope, req *chatv1.SendMessageRequest) (*chatv1.StartMessageResponse, bool, error) {
	if strings.ContainsRune(req.GetContent(), 0) {
		return nil, false, fault.Invalid("content", "must not hold the character NUL")
	}
	key := rpcserver.IdempotencyKey(ctx)
	sum, err := hash(req)
	if err != nil {
		return nil, false, err
	}
	c, err := s.manager.conversations.Get(ctx, scope, req.GetConversationId())
	if err != nil {
		return nil, false, err
	}
	if before, err := s.manager.byKey(ctx, scope, c.ID, key, sum); err != nil || before != nil {
		return before, true, err
	}
	request, err := s.prepare(ctx, scope, c, req)
	if err != nil {
		return nil, false, err
	}
	return s.manager.start(ctx, scope, req, request, key, sum)
}

// prepare decides how a message is answered, and refuses what cannot be.
func (s *Service) prepare(ctx context.Context, scope postgres.Scope, c conversation.Conversation, req *chatv1.SendMessageRequest) (engine.Request, error) {
	out := engine.Request{Caller: tool.Caller{OrganizationID: scope.OrganizationID, UserID: scope.UserID}}
	collections := slices.Clone(c.CollectionIDs)
	assistantID := req.GetAssistantId()
	if assistantID == "" {
		assistantID = c.AssistantID
	}
	if assistantID != "" {
		a, err := s.assistants.Resolve(ctx, scope.OrganizationID, assistantID)
		if err != nil {
			return out, err
		}
		out.Assistant = engine.Assistant{Instructions: a.GetInstructions(), Model: a.GetModel(), Temperature: a.Temperature}
		if len(a.GetTools()) > 0 {
			out.Assistant.Tools = a.GetTools()
		}
		collections = append(collections, a.GetCollectionIds()...)
	}
	if len(req.GetCollectionIds()) > 0 {
		collections = slices.Clone(req.GetCollectionIds())
	}
	slices.Sort(collections)
	out.Caller.CollectionIDs = slices.Compact(collections)
	if req.GetModel() != "" {
		out.Assistant.Model = req.GetModel()
	}
	if _, err := s.models.Model(out.Assistant.Model, out.Assistant.FallbackModels...); err != nil {
		return out, err
	}
	if len(collections) == 0 {
		return out, nil
	}
	return out, s.collections.Check(ctx, scope, out.Caller.CollectionIDs)
}

// start stores message and run in one transaction, and executes the run.
func (m *Manager) start(ctx context.Context, scope postgres.Scope, req *chatv1.SendMessageRequest, request engine.Request, key string, sum []byte,
) (*chatv1.StartMessageResponse, bool, error) {
	if err := m.reserve(); err != nil {
		return nil, false, err
	}
	now := m.clock.Now()
	message := &chatv1.Message{
		Id: id.New(), ConversationId: req.GetConversationId(), Role: chatv1.Message_USER, Content: req.GetContent(), CreateTime: timestamppb.New(now),
	}
	r := Run{
		ID: id.New(), ConversationID: req.GetConversationId(), UserMessageID: message.GetId(), MessageID: id.New(),
		State: chatv1.Run_QUEUED, RequestHash: sum, CreateTime: now, UpdateTime: now,
	}
	var raced bool
	err := m.db.InTx(ctx, scope, func(ctx context.Context, tx pgx.Tx) error {
		var err error
		raced, err = m.storeStart(ctx, tx, scope, r, message, key)
		return err
	})
	if err != nil || raced {
		m.executors.Done()
		if raced {
			before, err := m.byKey(ctx, scope, r.ConversationID, key, sum)
			return before, true, err
		}
		return nil, false, err
	}
	m.launch(ctx, scope, r, request)
	return &chatv1.StartMessageResponse{Run: encode(r), UserMessage: message}, false, nil
}

// storeStart adds message and run to their conversation, which it locks, so
// that of two requests with the same key the second sees the first.
func (m *Manager) storeStart(ctx context.Context, tx pgx.Tx, scope postgres.Scope, r Run, message *chatv1.Message, key string) (raced bool, err error) {
	if _, err := m.conversations.Lock(ctx, tx, scope, r.ConversationID); err != nil {
		return false, err
	}
	if key != "" {
		_, err := postgres.TxOne(ctx, tx, scan, byKey, scope.OrganizationID, scope.UserID, r.ConversationID, key)
		if err == nil || !errors.Is(err, postgres.ErrNoRows) {
			return err == nil, err
		}
	}
	if err := m.insert(ctx, tx, scope, r, key); err != nil {
		return false, err
	}
	if message.ParentMessageId, err = m.conversations.LastMessageID(ctx, tx, scope, r.ConversationID); err != nil {
		return false, err
	}
	return false, m.conversations.AddMessage(ctx, tx, scope, message)
}

// byKey finds what a request with the same key started, or nil.
func (m *Manager) byKey(ctx context.Context, scope postgres.Scope, conversationID, key string, sum []byte) (*chatv1.StartMessageResponse, error) {
	if key == "" {
		return nil, nil //nolint:nilnil // no key, no predecessor
	}
	r, err := postgres.QueryOne(ctx, m.db, scope, scan, byKey, scope.OrganizationID, scope.UserID, conversationID, key)
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
