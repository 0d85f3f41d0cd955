// Package management is the service by which an organization runs the product.
// In this version: its assistants.
//
// [New] builds the service from its database; [Service.Register] puts its RPCs
// on a server.
package management

import (
	"errors"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
	"github.com/gatehouse/gatehouse/services/management/assistant"
)

// Deps is what the service needs; all of it.
type Deps struct {
	// DB is opened with the role of package migrations.
	DB *postgres.DB
	// SecretKey signs page tokens.
	SecretKey []byte
	Clock     clock.Clock
}

// Service is the management service.
type Service struct {
	assistants *assistant.Service
	directory  *assistant.Directory
}

// New builds the service.
func New(deps Deps) (*Service, error) {
	if deps.DB == nil || deps.Clock == nil {
		return nil, errors.New("management: every dependency is required")
	}
	tokens, err := paging.NewTokens(deps.SecretKey)
	if err != nil {
		return nil, err
	}
	store := assistant.NewStore(deps.DB, tokens)
	assistants, err := assistant.NewService(assistant.Deps{Store: store, Trail: audit.NewTrail(deps.Clock), Clock: deps.Clock})
	if err != nil {
		return nil, err
	}
	return &Service{assistants: assistants, directory: assistant.NewDirectory(store)}, nil
}

// Register puts the service's RPCs on a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	managementv1.RegisterAssistantServiceServer(server, s.assistants)
	managementv1.RegisterAssistantDirectoryServiceServer(server, s.directory)
}
