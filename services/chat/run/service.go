package run

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
	"github.com/gatehouse/gatehouse/services/chat/conversation"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
)

// headerFinished tells a reader that it has seen the end of the run.
const headerFinished = "x-gatehouse-run-finished"

// Assistants finds assistants, which another service keeps.
type Assistants interface {
	// Resolve returns an assistant of an organization, or NOT_FOUND.
	Resolve(ctx context.Context, organizationID, id string) (*managementv1.Assistant, error)
}

// Collections checks the collections that an answer may use.
type Collections interface {
	// Missing returns those that the scope's organization does not have.
	Missing(ctx context.Context, scope postgres.Scope, ids []string) ([]string, error)
}

// Rights decides what a caller may do; *authz.Authorizer does.
type Rights interface {
	// Require refuses a caller who may not use a permission.
	Require(ctx context.Context, permission string) error
}

// ServiceDeps is what the RPCs need; all of it.
type ServiceDeps struct {
	Manager     *Manager
	Models      *model.Registry
	Assistants  Assistants
	Collections Collections
	Tickets     Tickets
	Rights      Rights
}

// Service implements the RPCs of runs, and those of conversations that start
// them.
type Service struct {
	chatv1.UnsafeRunServiceServer

	manager     *Manager
	models      *model.Registry
	assistants  Assistants
	collections Collections
	tickets     Tickets
	rights      Rights
}

var _ conversation.Messenger = (*Service)(nil)

// NewService returns the service.
func NewService(deps ServiceDeps) (*Service, error) {
	if deps.Manager == nil || deps.Models == nil || deps.Assistants == nil || deps.Collections == nil || deps.Tickets == nil || deps.Rights == nil {
		return nil, errors.New("run: every dependency is required")
	}
	return &Service{
		manager: deps.Manager, models: deps.Models, assistants: deps.Assistants, collections: deps.Collections,
		tickets: deps.Tickets, rights: deps.Rights,
	}, nil
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
	if err := checkTicket(stream.Context(), req.GetRunId()); err != nil {
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
		header.Set(rpcserver.HeaderReplayed, "true")
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
		err = grpc.SetHeader(ctx, metadata.Pairs(rpcserver.HeaderReplayed, "true"))
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
	key, err := rpcserver.IdempotencyKey(ctx)
	if err != nil {
		return nil, false, err
	}
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
	p, err := s.prepare(ctx, scope, c, req)
	if err != nil {
		return nil, false, err
	}
	return s.manager.start(ctx, scope, req, p, key, sum)
}
