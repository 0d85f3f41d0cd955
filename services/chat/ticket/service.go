package ticket

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
)

// Deps is what the room needs.
type Deps struct {
	DB    *postgres.DB
	Clock clock.Clock
	Log   *slog.Logger
}

// sweepInterval is how often expired tickets are deleted.
const sweepInterval = time.Minute

// Service issues and redeems tickets. It is safe for concurrent use.
type Service struct {
	deps  Deps
	store store
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("ticket", d); err != nil {
		return nil, err
	}
	return &Service{deps: d, store: store{db: d.DB}}, nil
}

// Register does nothing, because the room has no RPC.
func (*Service) Register(grpc.ServiceRegistrar) {}

// Tables returns the tables of the room. Their rows are deleted with the runs.
func (*Service) Tables() []room.Table { return []room.Table{{Name: "event_tickets"}} }

// Sweeps returns the deletion of expired tickets.
func (s *Service) Sweeps() []room.Sweep {
	return []room.Sweep{{Name: "delete expired tickets", Do: s.sweep}}
}

// Run deletes expired tickets until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for clock.Sleep(ctx, s.deps.Clock, sweepInterval) == nil {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.deps.Log.WarnContext(ctx, "expired tickets could not be deleted", "error", err)
		}
	}
	return nil
}

func (s *Service) sweep(ctx context.Context) error {
	return s.store.sweep(ctx, s.deps.Clock.Now())
}
