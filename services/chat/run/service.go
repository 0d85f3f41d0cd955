package run

import (
	"context"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
	"github.com/gatehouse/gatehouse/services/chat/conversation"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
)

// headerFinished is set on a stream whose reader has already seen the end of the run.
const headerFinished = "x-gatehouse-run-finished"

// Assistants reads assistants, which belong to another service.
type Assistants interface {
	// Resolve returns an assistant of an organization, or NOT_FOUND.
	Resolve(ctx context.Context, organizationID, id string) (*managementv1.Assistant, error)
}

// Collections checks the collections that an answer may use.
type Collections interface {
	// Missing returns those that the scope's organization does not have.
	Missing(ctx context.Context, scope postgres.Scope, ids []string) ([]string, error)
}

// Rights checks the permissions of callers; *authz.Authorizer implements it.
type Rights interface {
	// Require returns a fault when the caller does not have a permission.
	Require(ctx context.Context, permission string) error
}

// Deps is what the room needs.
type Deps struct {
	Config        Config
	DB            *postgres.DB
	Conversations *conversation.Store
	// Listener receives the announcements of other processes. The caller runs it for as
	// long as [Service.Run] executes.
	Listener    *postgres.Listener
	Engine      Engine
	Models      *model.Registry
	Assistants  Assistants
	Collections Collections
	Tickets     Tickets
	Rights      Rights
	Clock       clock.Clock
	Log         *slog.Logger
	Meter       metric.Meter
}

// Service implements the RPCs of runs, and those of conversations that start runs.
type Service struct {
	chatv1.UnsafeRunServiceServer

	deps    Deps
	planner *planner
	manager *manager
}

var _ conversation.Messenger = (*Service)(nil)

// New builds the room. Its runs are stored while [Service.Run] executes.
func New(d Deps) (*Service, error) {
	if err := deps.Check("run", d); err != nil {
		return nil, err
	}
	m, err := newManager(d)
	if err != nil {
		return nil, err
	}
	return &Service{deps: d, planner: newPlanner(d), manager: m}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) { chatv1.RegisterRunServiceServer(server, s) }

// Tables returns the tables of the room. Their rows are deleted with the conversations.
func (s *Service) Tables() []room.Table { return []room.Table{{Name: "run_events"}, {Name: "runs"}} }

// Run stores the events of this process's runs, and ends the runs of lost processes, until
// ctx ends. Then it waits for the runs of this process for [Config.Grace], interrupts those
// that remain, and returns after their end is stored.
func (s *Service) Run(ctx context.Context) error { return s.manager.run(ctx) }

// GetRun implements the RPC.
func (s *Service) GetRun(ctx context.Context, req *chatv1.GetRunRequest) (*chatv1.Run, error) {
	scope, err := conversation.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return s.manager.get(ctx, scope, req.GetId())
}

// CancelRun implements the RPC.
func (s *Service) CancelRun(ctx context.Context, req *chatv1.CancelRunRequest) (*chatv1.Run, error) {
	scope, err := conversation.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return s.manager.cancel(ctx, scope, req.GetId())
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
	return s.manager.watcher.watch(stream.Context(), scope, req.GetRunId(), req.GetAfterSeq(), reader(stream, metadata.MD{}))
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
	return s.manager.watcher.watch(ctx, scope, started.GetRun().GetId(), 0, reader(stream, header))
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

// Check implements [conversation.Messenger].
func (s *Service) Check(ctx context.Context, scope postgres.Scope, assistantID string, collectionIDs []string) error {
	return s.planner.check(ctx, scope, assistantID, collectionIDs)
}

// reader returns the reader of a gRPC stream.
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

// start stores a message and starts the run that answers it. When an earlier request has
// used the same idempotency key, it returns the run of that request, and reports that it
// was replayed.
func (s *Service) start(ctx context.Context, scope postgres.Scope, req *chatv1.SendMessageRequest,
) (out *chatv1.StartMessageResponse, replayed bool, err error) {
	if strings.ContainsRune(req.GetContent(), 0) {
		return nil, false, fault.Invalid("content", "must not contain the character NUL")
	}
	key, err := keyOf(ctx, req)
	if err != nil {
		return nil, false, err
	}
	c, err := s.deps.Conversations.Get(ctx, scope, req.GetConversationId())
	if err != nil {
		return nil, false, err
	}
	if out, replayed, err = s.manager.starter.previous(ctx, scope, c.ID, key); err != nil || replayed {
		return out, replayed, err
	}
	p, err := s.planner.plan(ctx, scope, c, req)
	if err != nil {
		return nil, false, err
	}
	return s.manager.starter.start(ctx, scope, req, p, key)
}

func keyOf(ctx context.Context, req *chatv1.SendMessageRequest) (idempotencyKey, error) {
	value, err := rpcserver.IdempotencyKey(ctx)
	if err != nil {
		return idempotencyKey{}, err
	}
	sum, err := hash(req)
	return idempotencyKey{value: value, requestHash: sum}, err
}
