package key

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/room"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// rotateEvery is the interval at which the room checks whether a key is due. Keys are
// due after days, so the interval only bounds the time until a failed rotation is retried.
const rotateEvery = time.Minute

// Deps is what the room needs.
type Deps struct {
	Ring  *Ring
	Log   *slog.Logger
	Clock clock.Clock
}

// Service implements the RPC of the public keys.
type Service struct {
	authv1.UnsafeKeyServiceServer

	deps Deps
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("key", d); err != nil {
		return nil, err
	}
	return &Service{deps: d}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterKeyServiceServer(server, s)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "signing_keys"}}
}

// Run rotates the signing keys every minute until ctx ends, and logs what fails.
func (s *Service) Run(ctx context.Context) error {
	for {
		if err := s.deps.Ring.Rotate(ctx); err != nil && ctx.Err() == nil {
			s.deps.Log.ErrorContext(ctx, "maintenance failed", "task", "rotate the signing keys", "error", err)
		}
		if clock.Sleep(ctx, s.deps.Clock, rotateEvery) != nil {
			return nil //nolint:nilerr // ctx has ended
		}
	}
}

// GetJwks implements the RPC.
func (s *Service) GetJwks(ctx context.Context, _ *authv1.GetJwksRequest) (*authv1.JsonWebKeySet, error) {
	keys, err := s.deps.Ring.Published(ctx)
	if err != nil {
		return nil, err
	}
	out := &authv1.JsonWebKeySet{}
	for _, k := range keys {
		out.Keys = append(out.Keys, encode(k))
	}
	return out, nil
}
