package serviceaccount

import (
	"context"
	"slices"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/credential/apikey"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
)

const permissionWrite = "service_accounts.write"

// Deps is what the room needs.
type Deps struct {
	DB            *postgres.DB
	Tokens        *paging.Tokens
	Organizations *organization.Store
	Rights        *organization.Rights
	Keys          *apikey.Service
	Revocations   *revocation.Store
	// Withdraw deletes the invitations that their inviters may no longer send.
	Withdraw func(ctx context.Context, tx postgres.Tx, organizationID string, without ...string) error
	Trail    *audit.Trail
	Clock    clock.Clock
}

// Service implements the RPCs of service accounts.
type Service struct {
	authv1.UnsafeServiceAccountServiceServer

	deps   Deps
	store  store
	writer *entity.Writer[ServiceAccount]
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("serviceaccount", d); err != nil {
		return nil, err
	}
	store := store{db: d.DB, tokens: d.Tokens, organizations: d.Organizations}
	writer, err := entity.NewWriter(kind, entity.WriterDeps[ServiceAccount]{Rows: store, Trail: d.Trail, Clock: d.Clock})
	if err != nil {
		return nil, err
	}
	return &Service{deps: d, store: store, writer: writer}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterServiceAccountServiceServer(server, s)
}

// Tables returns none: the rows are those of users and memberships.
func (s *Service) Tables() []room.Table { return nil }

// ListServiceAccounts implements the RPC.
func (s *Service) ListServiceAccounts(ctx context.Context, req *authv1.ListServiceAccountsRequest) (*authv1.ListServiceAccountsResponse, error) {
	if _, err := organization.RequireActing(ctx, req.GetOrganizationId()); err != nil {
		return nil, err
	}
	items, next, err := s.store.list(ctx, req.GetOrganizationId(), paging.From(req))
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
	a, err := s.store.get(ctx, req.GetOrganizationId(), req.GetId())
	return entity.Reply(encode, a, err)
}

// CreateServiceAccount implements the RPC.
func (s *Service) CreateServiceAccount(ctx context.Context, req *authv1.CreateServiceAccountRequest) (*authv1.ServiceAccount, error) {
	caller, err := organization.RequireActing(ctx, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	a := decode(req.GetServiceAccount())
	if err := a.Validate(); err != nil {
		return nil, err
	}
	mayCreate := func(ctx context.Context, tx postgres.Tx, a ServiceAccount) error {
		grant, err := s.callerGrant(ctx, tx, caller)
		if err != nil {
			return err
		}
		return s.checkRoles(ctx, tx, grant, a)
	}
	a, err = s.writer.Create(ctx, caller.OrganizationID, a, mayCreate, s.writer.AtMost(maxPerOrganization, s.store.count))
	return entity.Reply(encode, a, err)
}

// UpdateServiceAccount implements the RPC.
func (s *Service) UpdateServiceAccount(ctx context.Context, req *authv1.UpdateServiceAccountRequest) (*authv1.ServiceAccount, error) {
	caller, err := organization.RequireActing(ctx, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	patch, m := decode(req.GetServiceAccount()), s.manager(caller)
	mask := kind.Fields.Mask(patch, req.GetUpdateMask().GetPaths())
	a, err := s.writer.Change(ctx, caller.OrganizationID, entity.Change[ServiceAccount]{
		ID: patch.ID, Etag: rpcserver.Etag(ctx, req.GetServiceAccount().GetEtag()), Verb: "updated", Begin: m.begin, Check: m.check,
		Edit: func(ctx context.Context, tx postgres.Tx, before ServiceAccount) (ServiceAccount, error) {
			after, err := before.Apply(patch, mask)
			if err != nil {
				return before, err
			}
			return after, s.checkRoles(ctx, tx, m.grant, after)
		},
		Then: func(ctx context.Context, tx postgres.Tx, before, after ServiceAccount) error {
			if !after.Disabled && slices.Equal(before.Roles, after.Roles) {
				return nil
			}
			return s.revoke(ctx, tx, after)
		},
	})
	return entity.Reply(encode, a, err)
}

// DeleteServiceAccount implements the RPC.
func (s *Service) DeleteServiceAccount(ctx context.Context, req *authv1.DeleteServiceAccountRequest) (*authv1.DeleteServiceAccountResponse, error) {
	caller, err := organization.RequireActing(ctx, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	m := s.manager(caller)
	err = s.writer.Delete(ctx, caller.OrganizationID, entity.Removal[ServiceAccount]{
		ID: req.GetId(), Etag: rpcserver.Etag(ctx, req.GetEtag()), Begin: m.begin, Check: m.check, Then: s.revoke,
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteServiceAccountResponse{}, nil
}

// revoke revokes the tokens of an account and the invitations that it could send.
func (s *Service) revoke(ctx context.Context, tx postgres.Tx, a ServiceAccount) error {
	if err := s.deps.Withdraw(ctx, tx, a.OrganizationID); err != nil {
		return err
	}
	return s.deps.Revocations.RevokeUser(ctx, tx, a.ID)
}

// manager checks, in the transaction of one write, that a caller may manage an account.
type manager struct {
	service *Service
	caller  *identity.Principal
	grant   organization.Grant // the caller's rights, after begin
}

func (s *Service) manager(caller *identity.Principal) *manager {
	return &manager{service: s, caller: caller}
}

// begin reads the caller's rights. It locks the organization, so that neither these rights
// nor its service accounts change until the transaction ends.
func (m *manager) begin(ctx context.Context, tx postgres.Tx) (err error) {
	m.grant, err = m.service.callerGrant(ctx, tx, m.caller)
	return err
}

// check returns a fault when the caller has fewer rights than the account.
func (m *manager) check(_ context.Context, _ postgres.Tx, a ServiceAccount) error {
	return m.grant.Cover(m.service.deps.Rights.OfMember(a.member()))
}

// manage runs fn with an account that the caller may manage.
func (s *Service) manage(ctx context.Context, organizationID, accountID string, fn entity.Step[ServiceAccount]) error {
	caller, err := organization.RequireActing(ctx, organizationID)
	if err != nil {
		return err
	}
	m := s.manager(caller)
	return s.store.InTx(ctx, organizationID, func(ctx context.Context, tx postgres.Tx) error {
		if err := m.begin(ctx, tx); err != nil {
			return err
		}
		a, err := s.store.Lock(ctx, tx, organizationID, accountID)
		if err != nil {
			return err
		}
		if err := m.check(ctx, tx, a); err != nil {
			return err
		}
		return fn(ctx, tx, a)
	})
}

// callerGrant returns the caller's present rights, or a fault when they do not include
// managing service accounts.
func (s *Service) callerGrant(ctx context.Context, tx postgres.Tx, caller *identity.Principal) (organization.Grant, error) {
	grant, err := s.deps.Rights.OfCaller(ctx, tx, caller)
	if err != nil {
		return grant, err
	}
	return grant, grant.Require(permissionWrite)
}

// checkRoles returns a fault for roles that do not exist or that the caller may not give.
func (s *Service) checkRoles(ctx context.Context, tx postgres.Tx, grant organization.Grant, a ServiceAccount) error {
	given, err := s.deps.Rights.OfRoles(ctx, tx, a.OrganizationID, fieldRoles, a.Roles)
	if err != nil {
		return err
	}
	return grant.Cover(given)
}
