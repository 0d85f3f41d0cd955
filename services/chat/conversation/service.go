package conversation

import (
	"context"
	"strings"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// Messenger starts the runs that answer messages. The room of runs implements it.
type Messenger interface {
	// StartMessage stores a message, starts its run and returns at once.
	StartMessage(ctx context.Context, req *chatv1.SendMessageRequest) (*chatv1.StartMessageResponse, error)
	// SendMessage stores a message, starts its run and sends the events of the run.
	SendMessage(req *chatv1.SendMessageRequest, stream grpc.ServerStreamingServer[chatv1.RunEvent]) error
	// Check refuses an assistant or collections that do not exist, or that the caller
	// may not use. Its faults name the fields below "conversation". An empty id names
	// no assistant.
	Check(ctx context.Context, scope postgres.Scope, assistantID string, collectionIDs []string) error
}

// Deps is what the room needs.
type Deps struct {
	Store     *Store
	Messenger Messenger
	Clock     clock.Clock
}

// Service implements the RPCs of conversations.
type Service struct {
	chatv1.UnsafeConversationServiceServer

	deps Deps
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("conversation", d); err != nil {
		return nil, err
	}
	return &Service{deps: d}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	chatv1.RegisterConversationServiceServer(server, s)
}

// Tables returns the tables of the room. Erase deletes their rows.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "messages"}, {Name: "conversations"}}
}

// Erase deletes the conversations of an erased user, in all organizations, or of an erased
// organization. Their messages, runs and events are deleted with them.
func (s *Service) Erase(ctx context.Context, e erasure.Erasure) error {
	return s.deps.Store.erase(ctx, e)
}

// CreateConversation implements the RPC.
func (s *Service) CreateConversation(ctx context.Context, req *chatv1.CreateConversationRequest) (*chatv1.Conversation, error) {
	scope, err := Caller(ctx)
	if err != nil {
		return nil, err
	}
	c, now := decode(req.GetConversation()), clock.Stamp(s.deps.Clock)
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := s.deps.Messenger.Check(ctx, scope, c.AssistantID, c.CollectionIDs); err != nil {
		return nil, err
	}
	c.OrganizationID, c.UserID, c.ID, c.Revision = scope.OrganizationID, scope.UserID, id.New(), 1
	c.CreateTime, c.UpdateTime = now, now
	err = s.deps.Store.insert(ctx, c)
	return entity.Reply(encode, c, err)
}

// GetConversation implements the RPC.
func (s *Service) GetConversation(ctx context.Context, req *chatv1.GetConversationRequest) (*chatv1.Conversation, error) {
	scope, err := Caller(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.deps.Store.Get(ctx, scope, req.GetId())
	return entity.Reply(encode, c, err)
}

// ListConversations implements the RPC.
func (s *Service) ListConversations(ctx context.Context, req *chatv1.ListConversationsRequest) (*chatv1.ListConversationsResponse, error) {
	scope, err := Caller(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.deps.Store.Page(ctx, scope, paging.From(req))
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
	c, err := s.deps.Store.change(ctx, scope, patch.ID, func(before Conversation) (Conversation, error) {
		if err := fault.CheckEtag(resourceType, etag, before.Etag()); err != nil {
			return before, err
		}
		after, err := before.Apply(patch, mask)
		after.Revision, after.UpdateTime = before.Revision+1, clock.Stamp(s.deps.Clock)
		return after, err
	})
	return entity.Reply(encode, c, err)
}

// checkAdded checks the assistant and the collections that an update adds to a
// conversation. The conversation may keep those that it had before, even when they were
// deleted, because a client may send back everything that it has read.
func (s *Service) checkAdded(ctx context.Context, scope postgres.Scope, patch Conversation, mask []string) error {
	named, err := Conversation{}.Apply(patch, mask)
	if err != nil || named.AssistantID == "" && len(named.CollectionIDs) == 0 {
		return err
	}
	before, err := s.deps.Store.Get(ctx, scope, patch.ID)
	if err != nil {
		return err
	}
	if strings.EqualFold(named.AssistantID, before.AssistantID) {
		named.AssistantID = ""
	}
	return s.deps.Messenger.Check(ctx, scope, named.AssistantID, id.Without(named.CollectionIDs, before.CollectionIDs))
}

// DeleteConversation implements the RPC.
func (s *Service) DeleteConversation(ctx context.Context, req *chatv1.DeleteConversationRequest) (*chatv1.DeleteConversationResponse, error) {
	scope, err := Caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.deps.Store.delete(ctx, scope, req.GetId(), rpcserver.Etag(ctx, req.GetEtag())); err != nil {
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
	items, next, err := s.deps.Store.Messages(ctx, scope, req.GetConversationId(), paging.From(req))
	if err != nil {
		return nil, err
	}
	return &chatv1.ListMessagesResponse{Messages: items, NextPageToken: next}, nil
}

// StartMessage implements the RPC.
func (s *Service) StartMessage(ctx context.Context, req *chatv1.SendMessageRequest) (*chatv1.StartMessageResponse, error) {
	return s.deps.Messenger.StartMessage(ctx, req)
}

// SendMessage implements the RPC.
func (s *Service) SendMessage(req *chatv1.SendMessageRequest, stream grpc.ServerStreamingServer[chatv1.RunEvent]) error {
	return s.deps.Messenger.SendMessage(req, stream)
}

// Caller returns the scope of the calling user, or UNAUTHENTICATED.
func Caller(ctx context.Context) (postgres.Scope, error) {
	p, ok := identity.FromContext(ctx)
	if !ok {
		return postgres.Scope{}, identity.Unauthenticated()
	}
	return postgres.Scope{OrganizationID: p.OrganizationID, UserID: p.UserID}, nil
}
