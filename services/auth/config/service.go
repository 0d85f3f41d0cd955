package config

import (
	"context"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/room"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// Deps is what the room needs.
type Deps struct{ Capabilities Capabilities }

// Service implements the RPC.
type Service struct {
	authv1.UnsafeConfigServiceServer

	deps Deps
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("config", d); err != nil {
		return nil, err
	}
	return &Service{deps: d}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterConfigServiceServer(server, s)
}

// Tables returns no table: the room owns none.
func (s *Service) Tables() []room.Table { return nil }

// GetConfig implements the RPC.
func (s *Service) GetConfig(context.Context, *authv1.GetConfigRequest) (*authv1.Config, error) {
	return encode(s.deps.Capabilities), nil
}
