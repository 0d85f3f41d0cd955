package conversation

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// Messenger starts runs that answer messages. The room of runs implements it.
type Messenger interface {
	// StartMessage stores a message, starts its run and answers at once.
	StartMessage(ctx context.Context, req *chatv1.SendMessageRequest) (*chatv1.StartMessageResponse, error)
	// SendMessage does the same and follows the run.
	SendMessage(req *chatv1.SendMessageRequest, stream grpc.ServerStreamingServer[chatv1.RunEvent]) error
	// Check refuses an assistant or collections that do not exist, or that the caller
	// may not use. Its faults name the fields below "conversation". An empty id names
	// no assistant.
	Check(ctx context.Context, scope postgres.Scope, assistantID string, collectionIDs []string) error
}

// Deps is what the room needs; all of it.
type Deps struct {
	Store     *Store
	Messenger Messenger
	Clock     clock.Clock
}

// Service implements the RPCs of conversations.
type Service struct {
	chatv1.UnsafeConversationServiceServer

	store     *Store
	messenger Messenger
	clock     clock.Clock
}

// NewService returns the service.
func NewService(deps Deps) (*Service, error) {
	if deps.Store == nil || deps.Messenger == nil || deps.Clock == nil {
		return nil, errors.New("conversation: every dependency is required")
	}
	return &Service{store: deps.Store, messenger: deps.Messenger, clock: deps.Clock}, nil
}

// CreateConversation implements the RPC.
func (s *Service) CreateConversation(ctx context.Context, req *chatv1.CreateConversationRequest) (*chatv1.Conversation, error) {
	scope, err := Caller(ctx)
	if err != nil {
		return nil, err
	}
	c, now := decode(req.GetConversation()), clock.Stamp(s.clock)
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := s.messenger.Check(ctx, scope, c.AssistantID, c.CollectionIDs); err != nil {
		return nil, err
	}
	c.OrganizationID, c.UserID, c.ID, c.Revision = scope.OrganizationID, scope.UserID, id.New(), 1
	c.CreateTime, c.UpdateTime = now, now
	return reply(c, s.store.Insert(ctx, c))
}

// GetConversation implements the RPC.
func (s *Service) GetConversation(ctx context.Context, req *chatv1.GetConversationRequest) (*chatv1.Conversation, error) {
	scope, err := Caller(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.store.Get(ctx, scope, req.GetId()))
}

// ListConversations implements the RPC.
func (s *Service) ListConversations(ctx context.Context, req *chatv1.ListConversationsRequest) (*chatv1.ListConversationsResponse, error) {
	scope, err := Caller(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.store.Page(ctx, scope, paging.From(req))
	if err != nil {
		return nil, err
	}
	return &chatv1.ListConversationsResponse{Conversations: items, NextPageToken: next}, nil
}

// UpdateConversation implements the RPC.
func (s *Service) UpdateConversation(ctx context.Context, req *chatv1.UpdateConversationRequest) (*chatv1.Conversation, error) {
	scope, err := Caller(ctx)
	if err != nil {
		return nil, err
	}
	patch := decode(req.GetConversation())
	mask := fields.Mask(patch, req.GetUpdateMask().GetPaths())
	if err := s.checkAdded(ctx, scope, patch, mask); err != nil {
		return nil, err
	}
	etag := rpcserver.Etag(ctx, req.GetConversation().GetEtag())
	return reply(s.store.Change(ctx, scope, patch.ID, func(before Conversation) (Conversation, error) {
		if err := fault.CheckEtag(resourceType, etag, before.Etag()); err != nil {
			return before, err
		}
		after, err := before.Apply(patch, mask)
		after.Revision, after.UpdateTime = before.Revision+1, clock.Stamp(s.clock)
		return after, err
	}))
}

// checkAdded checks the assistant and the collections that an update adds to a
// conversation. Those that it had before may stay, whether they still exist or not: a form
// sends back all that it has read.
func (s *Service) checkAdded(ctx context.Context, scope postgres.Scope, patch Conversation, mask []string) error {
	named, err := Conversation{}.Apply(patch, mask)
	if err != nil || named.AssistantID == "" && len(named.CollectionIDs) == 0 {
		return err
	}
	before, err := s.store.Get(ctx, scope, patch.ID)
	if err != nil {
		return err
	}
	if strings.EqualFold(named.AssistantID, before.AssistantID) {
		named.AssistantID = ""
	}
	return s.messenger.Check(ctx, scope, named.AssistantID, id.Without(named.CollectionIDs, before.CollectionIDs))
}

// DeleteConversation implements the RPC.
func (s *Service) DeleteConversation(ctx context.Context, req *chatv1.DeleteConversationRequest) (*chatv1.DeleteConversationResponse, error) {
	scope, err := Caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.store.Delete(ctx, scope, req.GetId(), rpcserver.Etag(ctx, req.GetEtag())); err != nil {
		return nil, err
	}
	return &chatv1.DeleteConversationResponse{}, nil
}

// ListMessages implements the RPC.
func (s *Service) ListMessages(ctx context.Context, req *chatv1.ListMessagesRequest) (*chatv1.ListMessagesResponse, error) {
	scope, err := Caller(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.store.Messages(ctx, scope, req.GetConversationId(), paging.From(req))
	if err != nil {
		return nil, err
	}
	return &chatv1.ListMessagesResponse{Messages: items, NextPageToken: next}, nil
}

// StartMessage implements the RPC.
func (s *Service) StartMessage(ctx context.Context, req *chatv1.SendMessageRequest) (*chatv1.StartMessageResponse, error) {
	return s.messenger.StartMessage(ctx, req)
}

// SendMessage implements the RPC.
func (s *Service) SendMessage(req *chatv1.SendMessageRequest, stream grpc.ServerStreamingServer[chatv1.RunEvent]) error {
	return s.messenger.SendMessage(req, stream)
}

// Caller returns the scope of whoever calls.
func Caller(ctx context.Context) (postgres.Scope, error) {
	p, ok := identity.FromContext(ctx)
	if !ok {
		return postgres.Scope{}, identity.Unauthenticated()
	}
	return postgres.Scope{OrganizationID: p.OrganizationID, UserID: p.UserID}, nil
}

func decode(in *chatv1.Conversation) Conversation {
	return Conversation{
		ID: in.GetId(), Title: in.GetTitle(), AssistantID: strings.ToLower(in.GetAssistantId()),
		CollectionIDs: id.Distinct(in.GetCollectionIds()), // not nil: the column is NOT NULL
	}
}

func encode(c Conversation) *chatv1.Conversation {
	out := &chatv1.Conversation{
		Id: c.ID, Title: c.Title, AssistantId: c.AssistantID, CollectionIds: c.CollectionIDs,
		CreateTime: timestamppb.New(c.CreateTime), UpdateTime: timestamppb.New(c.UpdateTime), Etag: c.Etag(),
	}
	if c.LastMessageTime != nil {
		out.LastMessageTime = timestamppb.New(*c.LastMessageTime)
	}
	if c.Active != nil {
		out.ActiveRun = &chatv1.Conversation_ActiveRun{Id: c.Active.ID, State: c.Active.State, LastSeq: c.Active.LastSeq}
	}
	return out
}

func reply(c Conversation, err error) (*chatv1.Conversation, error) {
	if err != nil {
		return nil, err
	}
	return encode(c), nil
}
