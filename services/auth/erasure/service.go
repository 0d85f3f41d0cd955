package erasure

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/room"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// Deps is what the room needs.
type Deps struct{ Store *Store }

// Service implements the RPC of erasures.
type Service struct {
	authv1.UnsafeErasureServiceServer

	deps Deps
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("erasure", d); err != nil {
		return nil, err
	}
	return &Service{deps: d}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterErasureServiceServer(server, s)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "erasures"}}
}

// ListErasures implements the RPC.
func (s *Service) ListErasures(ctx context.Context, req *authv1.ListErasuresRequest) (*authv1.ListErasuresResponse, error) {
	since := time.Unix(0, 0)
	if req.GetSinceTime() != nil {
		since = req.GetSinceTime().AsTime()
	}
	found, next, err := s.deps.Store.list(ctx, since, paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListErasuresResponse{NextPageToken: next}
	for _, e := range found {
		out.Erasures = append(out.Erasures, encode(e))
	}
	return out, nil
}
