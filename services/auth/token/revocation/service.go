package revocation

import (
	"context"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/room"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// Deps is what the room needs.
type Deps struct{ Store *Store }

// Service implements the RPC of revocations.
type Service struct {
	authv1.UnsafeRevocationServiceServer

	deps Deps
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("revocation", d); err != nil {
		return nil, err
	}
	return &Service{deps: d}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterRevocationServiceServer(server, s)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "revocations"}}
}

// Sweeps returns the periodic deletion of expired rows.
func (s *Service) Sweeps() []room.Sweep {
	return []room.Sweep{{Name: "delete old revocations", Do: s.deps.Store.deleteOld}}
}

// ListRevocations implements the RPC.
func (s *Service) ListRevocations(ctx context.Context, req *authv1.ListRevocationsRequest) (*authv1.ListRevocationsResponse, error) {
	found, next, err := s.deps.Store.list(ctx, req.GetSinceTime().AsTime(), paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListRevocationsResponse{NextPageToken: next}
	for _, r := range found {
		out.Revocations = append(out.Revocations, encode(r))
	}
	return out, nil
}
