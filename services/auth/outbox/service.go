package outbox

import (
	"context"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/notify"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/room"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Deps is what the room needs.
type Deps struct {
	// Outbox has the messages that the installation keeps. It is nil where the
	// installation sends them. The RPC is then ROUTE_NOT_FOUND.
	Outbox *notify.Outbox `deps:"optional"`
	Tokens *paging.Tokens
}

// Service implements the RPC of the outbox.
type Service struct {
	authv1.UnsafeOutboxServiceServer

	deps Deps
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("outbox", d); err != nil {
		return nil, err
	}
	return &Service{deps: d}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterOutboxServiceServer(server, s)
}

// Tables returns no table: the room owns none.
func (s *Service) Tables() []room.Table { return nil }

// ListOutbox implements the RPC.
func (s *Service) ListOutbox(_ context.Context, req *authv1.ListOutboxRequest) (*authv1.ListOutboxResponse, error) {
	if s.deps.Outbox == nil {
		return nil, fault.New(faultv1.Reason_REASON_ROUTE_NOT_FOUND, "no route has this path")
	}
	page, err := list.Page(s.deps.Tokens, paging.From(req), 1)
	if err != nil {
		return nil, err
	}
	after := ""
	if len(page.Args) > 0 {
		after, _ = page.Args[0].(string)
	}
	found, err := s.deps.Outbox.List(after, most)
	if err != nil {
		return nil, err
	}
	found, next, err := paging.Cut(page, found, func(m notify.Written, _ string) any { return m.Cursor })
	if err != nil {
		return nil, err
	}
	out := &authv1.ListOutboxResponse{NextPageToken: next}
	for _, m := range found {
		out.Messages = append(out.Messages, encode(m))
	}
	return out, nil
}
