// Package management is the service with which an organization manages its resources.
// Today these are assistants.
//
// [New] builds the service from its database. [Service.Register] adds its RPCs to a
// server. [Service.Run] must run beside the server: it deletes the rows of erased
// organizations.
package management

import (
	"context"
	"log/slog"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/services/management/assistant"
)

// Deps is what the service needs.
type Deps struct {
	// DB is opened with the role of package migrations.
	DB *postgres.DB
	// SecretKey signs page tokens.
	SecretKey []byte
	// Erasures is auth's feed of erased users and organizations.
	Erasures erasure.Source
	// Chat is a connection to the chat service that carries the caller's credential. It
	// is used only when an assistant is written that names collections.
	Chat  grpc.ClientConnInterface
	Clock clock.Clock
	Log   *slog.Logger
}

// Service is the management service.
type Service struct {
	db       *postgres.DB
	rooms    room.List
	erasures *erasure.Follower
}

// New builds the service.
func New(d Deps) (*Service, error) {
	if err := deps.Check("management", d); err != nil {
		return nil, err
	}
	rooms, err := rooms(d)
	if err != nil {
		return nil, err
	}
	erasures, err := erasure.NewFollower(erasure.Deps{
		DB: d.DB, Source: d.Erasures, Erase: rooms.Erase(d.DB), Clock: d.Clock, Log: d.Log,
	})
	if err != nil {
		return nil, err
	}
	return &Service{db: d.DB, rooms: rooms, erasures: erasures}, nil
}

// rooms builds the rooms of the service.
func rooms(d Deps) (room.List, error) {
	tokens, err := paging.NewTokens(d.SecretKey)
	if err != nil {
		return nil, err
	}
	trail := audit.NewTrail(d.Clock)
	assistants, err := assistant.New(assistant.Deps{
		DB: d.DB, Tokens: tokens, Collections: newCollections(d.Chat), Trail: trail, Clock: d.Clock,
	})
	if err != nil {
		return nil, err
	}
	entities, err := entities(entity.Deps{DB: d.DB, Tokens: tokens, Trail: trail, Clock: d.Clock})
	if err != nil {
		return nil, err
	}
	return append(room.List{assistants}, entities...), nil
}

// Register adds the service's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) { s.rooms.Register(server) }

// Tables returns the tables that the service owns.
func (s *Service) Tables() []room.Table { return s.rooms.Tables() }

// Erase deletes the rows of an erased user or organization. Run calls it for each.
func (s *Service) Erase(ctx context.Context, e erasure.Erasure) error {
	return s.rooms.Erase(s.db)(ctx, e)
}

// Run does the background work of the service until ctx ends.
func (s *Service) Run(ctx context.Context) error { return s.rooms.Run(ctx, s.erasures) }
