package organization

import (
	"context"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
)

// fieldRoles is the field of requests that names roles.
const fieldRoles = "roles"

// Deps is what the room needs.
type Deps struct {
	Store       *Store
	Rights      *Rights
	Revocations *revocation.Store
	// Withdraw deletes the invitations of an organization that their inviters could no
	// longer send, in a transaction that has locked the organization. The users in
	// without count as having no rights.
	Withdraw func(ctx context.Context, tx postgres.Tx, organizationID string, without ...string) error
	// Fresh returns the caller of an action that cannot be undone. It requires a recent
	// sign-in, with the second factor where one is enrolled.
	Fresh func(ctx context.Context) (*identity.Principal, error)
	Trail *audit.Trail
	Clock clock.Clock
}

// Service implements the RPCs of organizations.
type Service struct {
	authv1.UnsafeOrganizationServiceServer

	deps Deps
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("organization", d); err != nil {
		return nil, err
	}
	return &Service{deps: d}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterOrganizationServiceServer(server, s)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "organizations"}, {Name: "memberships"}, {Name: "suspended_memberships"}}
}

// Sweeps returns the periodic deletion of expired rows.
func (s *Service) Sweeps() []room.Sweep {
	return []room.Sweep{{Name: "purge deleted organizations", Do: s.purge}}
}

// ListOrganizations implements the RPC.
func (s *Service) ListOrganizations(ctx context.Context, req *authv1.ListOrganizationsRequest) (*authv1.ListOrganizationsResponse, error) {
	p, ok := identity.FromContext(ctx)
	if !ok {
		return nil, identity.Unauthenticated()
	}
	items, next, err := s.deps.Store.list(ctx, p.UserID, paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListOrganizationsResponse{NextPageToken: next}
	for _, o := range items {
		out.Organizations = append(out.Organizations, encode(o))
	}
	return out, nil
}

// GetOrganization implements the RPC.
func (s *Service) GetOrganization(ctx context.Context, req *authv1.GetOrganizationRequest) (*authv1.Organization, error) {
	p, ok := identity.FromContext(ctx)
	if !ok {
		return nil, identity.Unauthenticated()
	}
	o, err := s.deps.Store.get(ctx, p.UserID, req.GetId())
	if err != nil {
		return nil, err
	}
	return encode(o), nil
}

// ListMembers implements the RPC.
func (s *Service) ListMembers(ctx context.Context, req *authv1.ListMembersRequest) (*authv1.ListMembersResponse, error) {
	if _, err := RequireActing(ctx, req.GetOrganizationId()); err != nil {
		return nil, err
	}
	items, next, err := s.deps.Store.members(ctx, req.GetOrganizationId(), paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListMembersResponse{NextPageToken: next}
	for _, m := range items {
		out.Members = append(out.Members, encodeMember(m))
	}
	return out, nil
}

// AddMember implements the RPC. Only operators may call it, so the caller need not act
// in the organization.
func (s *Service) AddMember(ctx context.Context, req *authv1.AddMemberRequest) (*authv1.Member, error) {
	now := clock.Stamp(s.deps.Clock)
	var added Member
	err := s.deps.Store.inTx(ctx, req.GetOrganizationId(), func(ctx context.Context, tx postgres.Tx) error {
		m := Member{
			OrganizationID: req.GetOrganizationId(), User: user.User{ID: req.GetUserId()}, Roles: req.GetRoles(),
			CreateTime: now, UpdateTime: now,
		}
		if err := s.deps.Store.Lock(ctx, tx, m.OrganizationID); err != nil {
			return err
		}
		if _, err := s.deps.Rights.OfRoles(ctx, tx, m.OrganizationID, fieldRoles, m.Roles); err != nil {
			return err
		}
		if err := s.deps.Store.InsertMember(ctx, tx, m); err != nil {
			return err
		}
		var err error
		if added, err = s.deps.Store.Member(ctx, tx, m.OrganizationID, m.User.ID); err != nil {
			return err
		}
		if added.ServiceAccount {
			return fault.NotFound("user")
		}
		return s.record(ctx, tx, m, "added", nil, m.Roles)
	})
	if err != nil {
		return nil, err
	}
	return encodeMember(added), nil
}

// UpdateMember implements the RPC.
func (s *Service) UpdateMember(ctx context.Context, req *authv1.UpdateMemberRequest) (*authv1.Member, error) {
	m, err := s.change(ctx, req.GetOrganizationId(), req.GetUserId(), req.GetRoles())
	if err != nil {
		return nil, err
	}
	return encodeMember(m), nil
}

// RemoveMember implements the RPC.
func (s *Service) RemoveMember(ctx context.Context, req *authv1.RemoveMemberRequest) (*authv1.RemoveMemberResponse, error) {
	if _, err := s.change(ctx, req.GetOrganizationId(), req.GetUserId(), nil); err != nil {
		return nil, err
	}
	return &authv1.RemoveMemberResponse{}, nil
}

// change gives a member other roles, or removes the member when there are none, with
// the audit row in the same transaction.
func (s *Service) change(ctx context.Context, organizationID, userID string, roles []string) (Member, error) {
	p, err := RequireActing(ctx, organizationID)
	if err != nil {
		return Member{}, err
	}
	var target Member
	err = s.deps.Store.inTx(ctx, organizationID, func(ctx context.Context, tx postgres.Tx) error {
		holder, err := s.deps.Rights.OfCaller(ctx, tx, p)
		if err != nil {
			return err
		}
		if target, err = s.deps.Store.Member(ctx, tx, organizationID, userID); err != nil {
			return err
		}
		if target.ServiceAccount {
			return fault.NotFound("member")
		}
		leaving := userID == p.UserID && len(roles) == 0
		if err := s.check(ctx, tx, holder, target, roles, leaving); err != nil {
			return err
		}
		return s.write(ctx, tx, &target, roles)
	})
	return target, err
}

// check refuses a change that exceeds the holder's rights or leaves no owner. Members
// may always leave.
func (s *Service) check(ctx context.Context, tx postgres.Tx, holder Grant, target Member, roles []string, leaving bool) error {
	if !leaving {
		after, err := s.deps.Rights.OfRoles(ctx, tx, target.OrganizationID, fieldRoles, roles)
		if err != nil {
			return err
		}
		if err := CheckManage(holder, s.deps.Rights.OfMember(target), after); err != nil {
			return err
		}
	}
	if !losesOwner(target.Roles, roles) {
		return nil
	}
	owners, err := s.deps.Store.owners(ctx, tx, target.OrganizationID)
	if err != nil {
		return err
	}
	if owners <= 1 {
		return lastOwner()
	}
	return nil
}

// write stores the new roles of a member, and ends what the member lost.
func (s *Service) write(ctx context.Context, tx postgres.Tx, target *Member, roles []string) error {
	before, verb, keep := target.Roles, "updated", s.deps.Store.SaveMember
	target.Roles, target.UpdateTime = roles, clock.Stamp(s.deps.Clock)
	if len(roles) == 0 {
		verb, keep = "removed", s.deps.Store.DeleteMember
	}
	if err := keep(ctx, tx, *target); err != nil {
		return err
	}
	if err := s.deps.Withdraw(ctx, tx, target.OrganizationID); err != nil {
		return err
	}
	// Tokens state the rights from when they were issued. They are revoked last, because
	// tokens that are being issued lock the membership.
	if err := s.deps.Revocations.RevokeMember(ctx, tx, target.OrganizationID, target.User.ID); err != nil {
		return err
	}
	return s.record(ctx, tx, *target, verb, before, roles)
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, m Member, verb string, before, after []string) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: m.OrganizationID, Action: "auth.member." + verb, ResourceType: "member", ResourceID: m.User.ID,
		Changes: map[string]audit.Change{"roles": {Before: before, After: after}},
	})
}

// RequireActing returns the caller if it acts in an organization. Any other
// organization does not exist for the caller.
func RequireActing(ctx context.Context, organizationID string) (*identity.Principal, error) {
	p, ok := identity.FromContext(ctx)
	if !ok {
		return nil, identity.Unauthenticated()
	}
	if p.OrganizationID != organizationID {
		return nil, fault.NotFound("organization")
	}
	return p, nil
}
