// Package management is the service by which an organization runs the product.
// In this version: its assistants.
//
// [New] builds the service from its database; [Service.Register] puts its RPCs
// on a server, and [Service.Run] must run beside it: it erases what is gone.
package management

import (
	"context"
	"errors"
	"log/slog"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	gone "github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
	"github.com/gatehouse/gatehouse/services/management/assistant"
	"github.com/gatehouse/gatehouse/services/management/erasure"
)

// Deps is what the service needs; all of it.
type Deps struct {
	// DB is opened with the role of package migrations.
	DB *postgres.DB
	// SecretKey signs page tokens.
	SecretKey []byte
	// Erasures is auth's feed of what is gone.
	Erasures gone.Source
	// Chat is a connection to the chat service that carries the caller's credential. It
	// is used only when an assistant is written that names collections.
	Chat  grpc.ClientConnInterface
	Clock clock.Clock
	Log   *slog.Logger
}

// Service is the management service.
type Service struct {
	assistants *assistant.Service
	directory  *assistant.Directory
	erasures   *gone.Follower
}

// New builds the service.
func New(deps Deps) (*Service, error) {
	if deps.DB == nil || deps.Erasures == nil || deps.Chat == nil || deps.Clock == nil || deps.Log == nil {
		return nil, errors.New("management: every dependency is required")
	}
	tokens, err := paging.NewTokens(deps.SecretKey)
	if err != nil {
		return nil, err
	}
	store := assistant.NewStore(deps.DB, tokens)
	assistants, err := assistant.NewService(assistant.Deps{
		Store: store, Collections: newCollections(deps.Chat), Trail: audit.NewTrail(deps.Clock), Clock: deps.Clock,
	})
	if err != nil {
		return nil, err
	}
	erasures, err := gone.NewFollower(gone.Deps{
		DB: deps.DB, Source: deps.Erasures, Erase: erasure.NewStore(deps.DB).Erase, Clock: deps.Clock, Log: deps.Log,
	})
	if err != nil {
		return nil, err
	}
	return &Service{assistants: assistants, directory: assistant.NewDirectory(store), erasures: erasures}, nil
}

// Run erases what is gone, until ctx ends.
func (s *Service) Run(ctx context.Context) error { return s.erasures.Run(ctx) }

// Register puts the service's RPCs on a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	managementv1.RegisterAssistantServiceServer(server, s.assistants)
	managementv1.RegisterAssistantDirectoryServiceServer(server, s.directory)
}
