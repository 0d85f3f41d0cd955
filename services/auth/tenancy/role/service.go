package role

import (
	"context"
	"slices"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
)

const permissionWrite = "roles.write"

// Deps is what the room needs.
type Deps struct {
	DB          *postgres.DB
	Tokens      *paging.Tokens
	Rights      *organization.Rights
	Authorizer  *authz.Authorizer
	Revocations *revocation.Store
	// Withdraw deletes the invitations that their inviters may no longer send.
	Withdraw func(ctx context.Context, tx postgres.Tx, organizationID string, without ...string) error
	Trail    *audit.Trail
	Clock    clock.Clock
}

// Service implements the RPCs of custom roles.
type Service struct {
	authv1.UnsafeRoleServiceServer

	deps   Deps
	store  store
	writer *entity.Writer[Role]
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("role", d); err != nil {
		return nil, err
	}
	store := newStore(d.DB, d.Tokens)
	writer, err := entity.NewWriter(kind, entity.WriterDeps[Role]{Rows: store, Trail: d.Trail, Clock: d.Clock})
	if err != nil {
		return nil, err
	}
	return &Service{deps: d, store: store, writer: writer}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterRoleServiceServer(server, s)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "roles"}}
}

// ListRoles implements the RPC.
func (s *Service) ListRoles(ctx context.Context, req *authv1.ListRolesRequest) (*authv1.ListRolesResponse, error) {
	if _, err := organization.RequireActing(ctx, req.GetOrganizationId()); err != nil {
		return nil, err
	}
	items, next, err := s.store.Page(ctx, req.GetOrganizationId(), paging.From(req), "")
	if err != nil {
		return nil, err
	}
	out := &authv1.ListRolesResponse{NextPageToken: next}
	for _, r := range items {
		out.Roles = append(out.Roles, encode(r))
	}
	return out, nil
}

// GetRole implements the RPC.
func (s *Service) GetRole(ctx context.Context, req *authv1.GetRoleRequest) (*authv1.Role, error) {
	if _, err := organization.RequireActing(ctx, req.GetOrganizationId()); err != nil {
		return nil, err
	}
	r, err := s.store.Get(ctx, req.GetOrganizationId(), req.GetId())
	return entity.Reply(encode, r, err)
}

// CreateRole implements the RPC.
func (s *Service) CreateRole(ctx context.Context, req *authv1.CreateRoleRequest) (*authv1.Role, error) {
	caller, err := organization.RequireActing(ctx, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	r := decode(req.GetRole())
	if err := r.Validate(s.deps.Authorizer.Grantable); err != nil {
		return nil, err
	}
	mayCreate := func(ctx context.Context, tx postgres.Tx, r Role) error {
		_, err := s.callerGrant(ctx, tx, caller, r)
		return err
	}
	r, err = s.writer.Create(ctx, caller.OrganizationID, r, mayCreate, s.writer.AtMost(maxPerOrganization, s.store.Count))
	return entity.Reply(encode, r, err)
}

// UpdateRole implements the RPC.
func (s *Service) UpdateRole(ctx context.Context, req *authv1.UpdateRoleRequest) (*authv1.Role, error) {
	caller, err := organization.RequireActing(ctx, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	patch := decode(req.GetRole())
	mask := kind.Fields.Mask(patch, req.GetUpdateMask().GetPaths())
	r, err := s.writer.Change(ctx, caller.OrganizationID, entity.Change[Role]{
		ID: patch.ID, Etag: rpcserver.Etag(ctx, req.GetRole().GetEtag()), Verb: "updated",
		Edit: func(ctx context.Context, tx postgres.Tx, before Role) (Role, error) {
			grant, err := s.callerGrant(ctx, tx, caller, before)
			if err != nil {
				return before, err
			}
			after, err := before.Apply(patch, mask, s.deps.Authorizer.Grantable)
			if err != nil {
				return before, err
			}
			return after, grant.Cover(after.Grant())
		},
		Then: func(ctx context.Context, tx postgres.Tx, before, after Role) error {
			if slices.Equal(before.Permissions, after.Permissions) {
				return nil
			}
			return s.revokeTokens(ctx, tx, after)
		},
	})
	return entity.Reply(encode, r, err)
}

// revokeTokens revokes the tokens of the holders of a role, as tokens contain the
// permissions that the role had when they were issued.
func (s *Service) revokeTokens(ctx context.Context, tx postgres.Tx, r Role) error {
	holders, err := s.store.holders(ctx, tx, r)
	if err != nil {
		return err
	}
	if err := s.deps.Withdraw(ctx, tx, r.OrganizationID); err != nil {
		return err
	}
	return s.deps.Revocations.RevokeMembers(ctx, tx, r.OrganizationID, holders)
}

// DeleteRole implements the RPC.
func (s *Service) DeleteRole(ctx context.Context, req *authv1.DeleteRoleRequest) (*authv1.DeleteRoleResponse, error) {
	caller, err := organization.RequireActing(ctx, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	err = s.writer.Delete(ctx, caller.OrganizationID, entity.Removal[Role]{
		ID: req.GetId(), Etag: rpcserver.Etag(ctx, req.GetEtag()),
		Before: func(ctx context.Context, tx postgres.Tx, r Role) (map[string]audit.Change, error) {
			grant, err := s.callerGrant(ctx, tx, caller, r)
			if err != nil {
				return nil, err
			}
			holders, err := s.revokeFromHolders(ctx, tx, grant, r, req.GetForce())
			return map[string]audit.Change{"holders": {Before: holders}}, err
		},
		Then: func(ctx context.Context, tx postgres.Tx, r Role) error {
			return s.deps.Withdraw(ctx, tx, r.OrganizationID)
		},
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteRoleResponse{}, nil
}

// revokeFromHolders removes a role from its holders and returns their ids. Without force, a
// role that has holders is NOT_EMPTY.
func (s *Service) revokeFromHolders(ctx context.Context, tx postgres.Tx, grant organization.Grant, r Role, force bool) (holders []string, err error) {
	if holders, err = s.store.holders(ctx, tx, r); err != nil {
		return nil, err
	}
	invited, err := s.store.invited(ctx, tx, r)
	if err != nil || len(holders)+invited == 0 {
		return nil, err
	}
	if !force {
		return nil, fault.New(faultv1.Reason_REASON_NOT_EMPTY, "%d members and %d invitations have the role", len(holders), invited)
	}
	instead, err := s.deps.Rights.OfRoles(ctx, tx, r.OrganizationID, "", []string{organization.RoleViewer})
	if err != nil {
		return nil, err
	}
	if err := organization.CheckManage(grant, r.Grant(), instead); err != nil {
		return nil, err
	}
	if err := s.store.replaceInHolders(ctx, tx, r, organization.RoleViewer, clock.Stamp(s.deps.Clock)); err != nil {
		return nil, err
	}
	return holders, s.deps.Revocations.RevokeMembers(ctx, tx, r.OrganizationID, holders)
}

// callerGrant returns the caller's present rights. It returns a fault when the caller may not
// manage roles, or has fewer rights than the role.
func (s *Service) callerGrant(ctx context.Context, tx postgres.Tx, caller *identity.Principal, r Role) (organization.Grant, error) {
	grant, err := s.deps.Rights.OfCaller(ctx, tx, caller)
	if err != nil {
		return grant, err
	}
	if err := grant.Require(permissionWrite); err != nil {
		return grant, err
	}
	return grant, grant.Cover(r.Grant())
}
