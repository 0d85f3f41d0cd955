package invitation

import (
	"context"
	"net/url"
	"strings"

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
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

const (
	// mailKind is the kind of the room's emails, and the name of their template.
	mailKind mailing.Kind = "invitation"
	// page is the page to which their links lead.
	page = "/account/invitation"

	dataOrganization = "organizationId"
	dataInvitation   = "invitationId"
)

// Deps is what the room needs.
type Deps struct {
	DB            *postgres.DB
	Tokens        *paging.Tokens
	Users         *user.Store
	Organizations *organization.Store
	Rights        *organization.Rights
	Mail          *mailing.Service
	// PerDay is the number of invitations that an organization may send in a day. 0
	// means no limit, also for unconfirmed addresses.
	PerDay    int
	PublicURL string
	Trail     *audit.Trail
	Clock     clock.Clock
}

// Service implements the RPCs of invitations.
type Service struct {
	authv1.UnsafeInvitationServiceServer

	deps  Deps
	store *store
}

// New builds the room, and registers with the mail queue what composes its emails.
func New(d Deps) (*Service, error) {
	if err := deps.Check("invitation", d); err != nil {
		return nil, err
	}
	s := &Service{deps: d, store: newStore(d.DB, d.Tokens)}
	d.Mail.Compose(mailKind, s.compose)
	return s, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterInvitationServiceServer(server, s)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "invitations"}, {Name: "invitation_counts"}}
}

// Sweeps returns the periodic deletion of expired rows.
func (s *Service) Sweeps() []room.Sweep {
	return []room.Sweep{{Name: "delete old invitations", Do: s.sweep}}
}

// ListInvitations implements the RPC.
func (s *Service) ListInvitations(ctx context.Context, req *authv1.ListInvitationsRequest) (*authv1.ListInvitationsResponse, error) {
	if _, err := organization.RequireActing(ctx, req.GetOrganizationId()); err != nil {
		return nil, err
	}
	items, next, err := s.store.list(ctx, req.GetOrganizationId(), paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListInvitationsResponse{NextPageToken: next}
	for _, i := range items {
		out.Invitations = append(out.Invitations, encode(i, s.deps.Clock.Now()))
	}
	return out, nil
}

// CreateInvitation implements the RPC.
func (s *Service) CreateInvitation(ctx context.Context, req *authv1.CreateInvitationRequest) (*authv1.Invitation, error) {
	caller, err := organization.RequireActing(ctx, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	now := clock.Stamp(s.deps.Clock)
	i := Invitation{
		ID: id.New(), OrganizationID: caller.OrganizationID, InviterID: caller.UserID, Email: req.GetEmail(), Roles: req.GetRoles(),
		CreateTime: now, ExpireTime: now.Add(TTL),
	}
	err = s.store.inTx(ctx, postgres.Scope{OrganizationID: i.OrganizationID, UserID: i.InviterID},
		func(ctx context.Context, tx postgres.Tx) error { return s.invite(ctx, tx, caller, i) })
	if err != nil {
		return nil, err
	}
	return encode(i, now), nil
}

// invite checks and stores an invitation, and queues its email.
func (s *Service) invite(ctx context.Context, tx postgres.Tx, caller *identity.Principal, i Invitation) error {
	// The user is locked before the organization, as everywhere, so that there is no
	// deadlock.
	if err := s.store.lockInviter(ctx, tx, i.InviterID); err != nil {
		return err
	}
	if err := s.check(ctx, tx, caller, i); err != nil {
		return err
	}
	if err := s.enforceLimit(ctx, tx, i); err != nil {
		return err
	}
	if err := s.store.replace(ctx, tx, i, user.NormalizeEmail(i.Email)); err != nil {
		return err
	}
	if err := s.record(ctx, tx, i, "created"); err != nil {
		return err
	}
	// The email is queued last, because its count is outside of any organization.
	return s.deps.Mail.Enqueue(ctx, tx, mailing.Message{Kind: mailKind, Address: i.Email, Data: map[string]string{
		dataOrganization: i.OrganizationID, dataInvitation: i.ID,
	}})
}

// check refuses an invitation that exceeds the inviter's current rights, or is not
// possible.
func (s *Service) check(ctx context.Context, tx postgres.Tx, caller *identity.Principal, i Invitation) error {
	inviter, err := s.deps.Rights.OfCaller(ctx, tx, caller)
	if err != nil {
		return err
	}
	given, err := s.deps.Rights.OfRoles(ctx, tx, i.OrganizationID, "roles", i.Roles)
	if err != nil {
		return err
	}
	before, err := s.replacedGrant(ctx, tx, i)
	if err != nil {
		return err
	}
	if err := organization.CheckManage(inviter, before, given); err != nil {
		return err
	}
	member, err := s.store.isMember(ctx, tx, i.OrganizationID, user.NormalizeEmail(i.Email))
	if err != nil {
		return err
	}
	if member {
		return fault.New(faultv1.Reason_REASON_ALREADY_EXISTS, "the address belongs to a member")
	}
	n, err := s.store.countPending(ctx, tx, i.OrganizationID, s.deps.Clock.Now())
	if err != nil {
		return err
	}
	if n >= maxPending {
		return fault.New(faultv1.Reason_REASON_CONFLICT, "%d invitations are pending: withdraw some first", n)
	}
	return nil
}

// replacedGrant returns the rights of the pending invitation for the same address.
// Creating another invitation withdraws that one.
func (s *Service) replacedGrant(ctx context.Context, tx postgres.Tx, i Invitation) (organization.Grant, error) {
	waiting, err := s.store.pendingFor(ctx, tx, i.OrganizationID, user.NormalizeEmail(i.Email), s.deps.Clock.Now())
	if err != nil || len(waiting) == 0 {
		return organization.Grant{}, err
	}
	given, err := s.deps.Rights.OfRoleSets(ctx, tx, i.OrganizationID, waiting[0].Roles)
	if err != nil {
		return organization.Grant{}, err
	}
	return given[0], nil
}

// DeleteInvitation implements the RPC.
func (s *Service) DeleteInvitation(ctx context.Context, req *authv1.DeleteInvitationRequest) (*authv1.DeleteInvitationResponse, error) {
	caller, err := organization.RequireActing(ctx, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	err = s.store.inTx(ctx, postgres.Scope{OrganizationID: caller.OrganizationID}, func(ctx context.Context, tx postgres.Tx) error {
		holder, err := s.deps.Rights.OfCaller(ctx, tx, caller)
		if err != nil {
			return err
		}
		i, err := s.store.remove(ctx, tx, caller.OrganizationID, req.GetId())
		if err != nil {
			return err
		}
		if err := s.checkWithdraw(ctx, tx, holder, i); err != nil {
			return err
		}
		return s.record(ctx, tx, i, "withdrawn")
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteInvitationResponse{}, nil
}

// checkWithdraw refuses a holder who could not have sent a pending invitation. Anyone
// may withdraw an invitation that has ended, because it has no effect.
func (s *Service) checkWithdraw(ctx context.Context, tx postgres.Tx, holder organization.Grant, i Invitation) error {
	if i.state(s.deps.Clock.Now()) != authv1.Invitation_PENDING {
		return nil
	}
	given, err := s.deps.Rights.OfRoleSets(ctx, tx, i.OrganizationID, i.Roles)
	if err != nil {
		return err
	}
	return organization.CheckManage(holder, given[0], organization.Grant{})
}

// sweep deletes the invitations that ended longer ago than they are kept, accepted or
// not, and the counts of past days.
func (s *Service) sweep(ctx context.Context) error {
	return s.store.deleteExpired(ctx, s.deps.Clock.Now())
}

// Pending reports whether the invitation with a token is pending for an address.
func (s *Service) Pending(ctx context.Context, token, address string) (bool, error) {
	return s.store.isPending(ctx, securetoken.Hash(token), user.NormalizeEmail(address), s.deps.Clock.Now())
}

// compose creates the token of an invitation and its email, when the email is sent.
func (s *Service) compose(ctx context.Context, l mailing.Message) (mailing.Content, error) {
	token, hash := securetoken.New()
	says, waits, err := s.store.setToken(ctx, l.Data[dataOrganization], l.Data[dataInvitation], hash, s.deps.Clock.Now())
	if err != nil || !waits {
		return mailing.Content{}, err
	}
	return mailing.Content{Template: string(mailKind), Data: map[string]string{
		"organization": says.organization, "inviter": says.inviter,
		"link": strings.TrimRight(s.deps.PublicURL, "/") + page + "?" + url.Values{"code": {token}}.Encode(),
	}}, nil
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, i Invitation, verb string) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: i.OrganizationID, Action: "auth.invitation." + verb, ResourceType: "invitation", ResourceID: i.ID,
		Changes: map[string]audit.Change{"roles": {After: i.Roles}},
	})
}
