package userdirectory

import (
	"context"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// Deps is what the room needs.
type Deps struct {
	DB            *postgres.DB
	Organizations *organization.Store
	Rights        *organization.Rights
}

// Service implements the RPCs of the directory.
type Service struct {
	authv1.UnsafeUserDirectoryServiceServer

	deps  Deps
	store *store
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("userdirectory", d); err != nil {
		return nil, err
	}
	return &Service{deps: d, store: newStore(d.DB)}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterUserDirectoryServiceServer(server, s)
}

// Tables returns no table: the room owns none.
func (s *Service) Tables() []room.Table { return nil }

// BatchGetUsers implements the RPC.
func (s *Service) BatchGetUsers(ctx context.Context, req *authv1.BatchGetUsersRequest) (*authv1.BatchGetUsersResponse, error) {
	found, err := s.store.users(ctx, req.GetIds())
	if err != nil {
		return nil, err
	}
	return &authv1.BatchGetUsersResponse{Users: found}, nil
}

// BatchGetMemberships implements the RPC.
func (s *Service) BatchGetMemberships(ctx context.Context, req *authv1.BatchGetMembershipsRequest) (*authv1.BatchGetMembershipsResponse, error) {
	found, err := s.deps.Organizations.MembersByID(ctx, req.GetOrganizationId(), req.GetUserIds())
	if err != nil {
		return nil, err
	}
	out := &authv1.BatchGetMembershipsResponse{}
	for _, m := range found {
		out.Memberships = append(out.Memberships, encode(m, s.deps.Rights.OfMember(m).Permissions))
	}
	return out, nil
}
