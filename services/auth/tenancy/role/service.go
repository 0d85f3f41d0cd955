package role

import (
	"context"
	"slices"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
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

// Deps is what the room needs; all of it.
type Deps struct {
	Store       *Store
	Rights      *organization.Rights
	Authorizer  *authz.Authorizer
	Revocations *revocation.Store
	// Withdraw deletes the invitations that their inviters could no longer send.
	Withdraw func(ctx context.Context, tx postgres.Tx, organizationID string, without ...string) error
	Trail    *audit.Trail
	Clock    clock.Clock
}

// Service implements the RPCs of custom roles.
type Service struct {
	authv1.UnsafeRoleServiceServer

	deps Deps
}

// New returns the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("role", d); err != nil {
		return nil, err
	}
	return &Service{deps: d}, nil
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
	items, next, err := s.deps.Store.list(ctx, req.GetOrganizationId(), paging.From(req))
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
	return reply(s.deps.Store.get(ctx, req.GetOrganizationId(), req.GetId()))
}

// CreateRole implements the RPC.
func (s *Service) CreateRole(ctx context.Context, req *authv1.CreateRoleRequest) (*authv1.Role, error) {
	caller, err := organization.RequireActing(ctx, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	r, now := decode(req.GetRole()), clock.Stamp(s.deps.Clock)
	r.OrganizationID, r.ID, r.Revision, r.CreateTime, r.UpdateTime = caller.OrganizationID, id.New(), 1, now, now
	if err := r.Validate(s.deps.Authorizer.Grantable); err != nil {
		return nil, err
	}
	err = s.deps.Store.inTx(ctx, r.OrganizationID, func(ctx context.Context, tx postgres.Tx) error {
		if _, err := s.callerGrant(ctx, tx, caller, r); err != nil {
			return err
		}
		n, err := s.deps.Store.count(ctx, tx, r.OrganizationID)
		if err != nil {
			return err
		}
		if n >= maxPerOrganization {
			return fault.New(faultv1.Reason_REASON_CONFLICT, "the organization has %d roles: delete one first", n)
		}
		if err := s.deps.Store.insert(ctx, tx, r); err != nil {
			return err
		}
		return s.record(ctx, tx, r, "created", fields.Changes(Role{}, r))
	})
	return reply(r, err)
}

// UpdateRole implements the RPC.
func (s *Service) UpdateRole(ctx context.Context, req *authv1.UpdateRoleRequest) (*authv1.Role, error) {
	caller, err := organization.RequireActing(ctx, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	patch, etag := decode(req.GetRole()), rpcserver.Etag(ctx, req.GetRole().GetEtag())
	mask := fields.Mask(patch, req.GetUpdateMask().GetPaths())
	var after Role
	err = s.deps.Store.inTx(ctx, caller.OrganizationID, func(ctx context.Context, tx postgres.Tx) error {
		before, maker, err := s.locked(ctx, tx, caller, patch.ID, etag)
		if err != nil {
			return err
		}
		if after, err = fields.Apply(before, patch, mask); err != nil {
			return err
		}
		if err := after.Validate(s.deps.Authorizer.Grantable); err != nil {
			return err
		}
		if err := maker.Cover(after.Grant()); err != nil {
			return err
		}
		after.Revision, after.UpdateTime = before.Revision+1, clock.Stamp(s.deps.Clock)
		if err := s.deps.Store.save(ctx, tx, after); err != nil {
			return err
		}
		if !slices.Equal(before.Permissions, after.Permissions) {
			if err := s.revokeTokens(ctx, tx, after); err != nil {
				return err
			}
		}
		return s.record(ctx, tx, after, "updated", fields.Changes(before, after))
	})
	return reply(after, err)
}

// revokeTokens takes the force from the tokens of those who have a role: tokens say
// what it gave when they were issued.
func (s *Service) revokeTokens(ctx context.Context, tx postgres.Tx, r Role) error {
	holders, err := s.deps.Store.holders(ctx, tx, r)
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
	err = s.deps.Store.inTx(ctx, caller.OrganizationID, func(ctx context.Context, tx postgres.Tx) error {
		r, maker, err := s.locked(ctx, tx, caller, req.GetId(), rpcserver.Etag(ctx, req.GetEtag()))
		if err != nil {
			return err
		}
		holders, err := s.revokeFromHolders(ctx, tx, maker, r, req.GetForce())
		if err != nil {
			return err
		}
		if err := s.deps.Store.remove(ctx, tx, r); err != nil {
			return err
		}
		if err := s.deps.Withdraw(ctx, tx, r.OrganizationID); err != nil {
			return err
		}
		deleted := fields.Changes(r, Role{})
		deleted["holders"] = audit.Change{Before: holders}
		return s.record(ctx, tx, r, "deleted", deleted)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteRoleResponse{}, nil
}

// revokeFromHolders takes a role from all who have it, where that is forced, and answers who
// had it.
func (s *Service) revokeFromHolders(ctx context.Context, tx postgres.Tx, maker organization.Grant, r Role, force bool) (holders []string, err error) {
	if holders, err = s.deps.Store.holders(ctx, tx, r); err != nil {
		return nil, err
	}
	invited, err := s.deps.Store.invited(ctx, tx, r)
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
	if err := organization.CheckManage(maker, r.Grant(), instead); err != nil {
		return nil, err
	}
	if err := s.deps.Store.replaceInHolders(ctx, tx, r, organization.RoleViewer, clock.Stamp(s.deps.Clock)); err != nil {
		return nil, err
	}
	return holders, s.deps.Revocations.RevokeMembers(ctx, tx, r.OrganizationID, holders)
}

// locked returns a role that nobody else can change meanwhile, in the state that
// the caller builds on, and what the caller holds, which is no less than the role
// gives.
func (s *Service) locked(ctx context.Context, tx postgres.Tx, caller *identity.Principal, roleID, etag string) (Role, organization.Grant, error) {
	r, err := s.deps.Store.getForUpdate(ctx, tx, caller.OrganizationID, roleID)
	if err != nil {
		return r, organization.Grant{}, err
	}
	if err := fault.CheckEtag(resourceType, etag, r.Etag()); err != nil {
		return r, organization.Grant{}, err
	}
	maker, err := s.callerGrant(ctx, tx, caller, r)
	return r, maker, err
}

// callerGrant returns what the caller holds now, if it is enough to have to do with a
// role.
func (s *Service) callerGrant(ctx context.Context, tx postgres.Tx, caller *identity.Principal, r Role) (organization.Grant, error) {
	maker, err := s.deps.Rights.OfCaller(ctx, tx, caller)
	if err != nil {
		return maker, err
	}
	if err := maker.Require(permissionWrite); err != nil {
		return maker, err
	}
	return maker, maker.Cover(r.Grant())
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, r Role, verb string, changes map[string]audit.Change) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: r.OrganizationID, Action: "auth.role." + verb, ResourceType: resourceType, ResourceID: r.ID, Changes: changes,
	})
}
