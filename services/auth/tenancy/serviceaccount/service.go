package serviceaccount

import (
	"context"
	"slices"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
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
	"github.com/gatehouse/gatehouse/services/auth/credential/apikey"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
)

const permissionWrite = "service_accounts.write"

// Deps is what the room needs; all of it.
type Deps struct {
	Store       *Store
	Rights      *organization.Rights
	Keys        *apikey.Service
	Revocations *revocation.Store
	// Withdraw deletes the invitations that their inviters could no longer send.
	Withdraw func(ctx context.Context, tx postgres.Tx, organizationID string, without ...string) error
	Trail    *audit.Trail
	Clock    clock.Clock
}

// Service implements the RPCs of service accounts.
type Service struct {
	authv1.UnsafeServiceAccountServiceServer

	deps Deps
}

// New returns the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("serviceaccount", d); err != nil {
		return nil, err
	}
	return &Service{deps: d}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterServiceAccountServiceServer(server, s)
}

// Tables returns no table: the room owns none.
func (s *Service) Tables() []room.Table { return nil }

// ListServiceAccounts implements the RPC.
func (s *Service) ListServiceAccounts(ctx context.Context, req *authv1.ListServiceAccountsRequest) (*authv1.ListServiceAccountsResponse, error) {
	if _, err := organization.RequireActing(ctx, req.GetOrganizationId()); err != nil {
		return nil, err
	}
	items, next, err := s.deps.Store.list(ctx, req.GetOrganizationId(), paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListServiceAccountsResponse{NextPageToken: next}
	for _, a := range items {
		out.ServiceAccounts = append(out.ServiceAccounts, encode(a))
	}
	return out, nil
}

// GetServiceAccount implements the RPC.
func (s *Service) GetServiceAccount(ctx context.Context, req *authv1.GetServiceAccountRequest) (*authv1.ServiceAccount, error) {
	if _, err := organization.RequireActing(ctx, req.GetOrganizationId()); err != nil {
		return nil, err
	}
	return reply(s.deps.Store.get(ctx, req.GetOrganizationId(), req.GetId()))
}

// CreateServiceAccount implements the RPC.
func (s *Service) CreateServiceAccount(ctx context.Context, req *authv1.CreateServiceAccountRequest) (*authv1.ServiceAccount, error) {
	caller, err := organization.RequireActing(ctx, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	a, now := decode(req.GetServiceAccount()), clock.Stamp(s.deps.Clock)
	a.OrganizationID, a.ID, a.Revision, a.CreateTime, a.UpdateTime = caller.OrganizationID, id.New(), 1, now, now
	if err := a.Validate(); err != nil {
		return nil, err
	}
	err = s.deps.Store.inTx(ctx, a.OrganizationID, func(ctx context.Context, tx postgres.Tx) error {
		maker, err := s.callerGrant(ctx, tx, caller)
		if err != nil {
			return err
		}
		if err := s.checkRoles(ctx, tx, maker, a); err != nil {
			return err
		}
		n, err := s.deps.Store.count(ctx, tx, a.OrganizationID)
		if err != nil {
			return err
		}
		if n >= maxPerOrganization {
			return fault.New(faultv1.Reason_REASON_CONFLICT, "the organization has %d service accounts: delete one first", n)
		}
		if err := s.deps.Store.insert(ctx, tx, a); err != nil {
			return err
		}
		return s.record(ctx, tx, a, "created", fields.Changes(ServiceAccount{}, a))
	})
	return reply(a, err)
}

// UpdateServiceAccount implements the RPC.
func (s *Service) UpdateServiceAccount(ctx context.Context, req *authv1.UpdateServiceAccountRequest) (*authv1.ServiceAccount, error) {
	patch, etag := decode(req.GetServiceAccount()), rpcserver.Etag(ctx, req.GetServiceAccount().GetEtag())
	mask := fields.Mask(patch, req.GetUpdateMask().GetPaths())
	var after ServiceAccount
	err := s.manage(ctx, req.GetOrganizationId(), patch.ID, func(ctx context.Context, tx postgres.Tx, maker organization.Grant, before ServiceAccount) error {
		if err := fault.CheckEtag(kind, etag, before.Etag()); err != nil {
			return err
		}
		var err error
		if after, err = before.Apply(patch, mask); err != nil {
			return err
		}
		if err := s.checkRoles(ctx, tx, maker, after); err != nil {
			return err
		}
		after.Revision, after.UpdateTime = before.Revision+1, clock.Stamp(s.deps.Clock)
		if err := s.deps.Store.save(ctx, tx, after); err != nil {
			return err
		}
		if after.Disabled || !slices.Equal(before.Roles, after.Roles) {
			if err := s.deps.Withdraw(ctx, tx, after.OrganizationID); err != nil {
				return err
			}
			if err := s.deps.Revocations.RevokeUser(ctx, tx, after.ID); err != nil {
				return err
			}
		}
		return s.record(ctx, tx, after, "updated", fields.Changes(before, after))
	})
	return reply(after, err)
}

// DeleteServiceAccount implements the RPC.
func (s *Service) DeleteServiceAccount(ctx context.Context, req *authv1.DeleteServiceAccountRequest) (*authv1.DeleteServiceAccountResponse, error) {
	etag := rpcserver.Etag(ctx, req.GetEtag())
	err := s.manage(ctx, req.GetOrganizationId(), req.GetId(), func(ctx context.Context, tx postgres.Tx, _ organization.Grant, a ServiceAccount) error {
		if err := fault.CheckEtag(kind, etag, a.Etag()); err != nil {
			return err
		}
		if err := s.deps.Store.remove(ctx, tx, a); err != nil {
			return err
		}
		if err := s.deps.Withdraw(ctx, tx, a.OrganizationID); err != nil {
			return err
		}
		if err := s.deps.Revocations.RevokeUser(ctx, tx, a.ID); err != nil {
			return err
		}
		return s.record(ctx, tx, a, "deleted", fields.Changes(a, ServiceAccount{}))
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteServiceAccountResponse{}, nil
}

// manage runs fn on an account of the organization that the caller acts in, when
// the caller holds enough to have to do with it. Nobody else changes it meanwhile,
// nor the caller's rights.
func (s *Service) manage(ctx context.Context, organizationID, accountID string,
	fn func(ctx context.Context, tx postgres.Tx, maker organization.Grant, a ServiceAccount) error,
) error {
	caller, err := organization.RequireActing(ctx, organizationID)
	if err != nil {
		return err
	}
	return s.deps.Store.inTx(ctx, organizationID, func(ctx context.Context, tx postgres.Tx) error {
		maker, err := s.callerGrant(ctx, tx, caller)
		if err != nil {
			return err
		}
		a, err := s.deps.Store.getIn(ctx, tx, organizationID, accountID)
		if err != nil {
			return err
		}
		if err := maker.Cover(s.deps.Rights.OfMember(a.member())); err != nil {
			return err
		}
		return fn(ctx, tx, maker, a)
	})
}

// callerGrant returns what the caller holds now, if it may manage service accounts.
func (s *Service) callerGrant(ctx context.Context, tx postgres.Tx, caller *identity.Principal) (organization.Grant, error) {
	maker, err := s.deps.Rights.OfCaller(ctx, tx, caller)
	if err != nil {
		return maker, err
	}
	return maker, maker.Require(permissionWrite)
}

// checkRoles refuses roles that there are not, or that the maker could not give.
func (s *Service) checkRoles(ctx context.Context, tx postgres.Tx, maker organization.Grant, a ServiceAccount) error {
	given, err := s.deps.Rights.OfRoles(ctx, tx, a.OrganizationID, fieldRoles, a.Roles)
	if err != nil {
		return err
	}
	return maker.Cover(given)
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, a ServiceAccount, verb string, changes map[string]audit.Change) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: a.OrganizationID, Action: "auth.service_account." + verb, ResourceType: resourceType, ResourceID: a.ID, Changes: changes,
	})
}
