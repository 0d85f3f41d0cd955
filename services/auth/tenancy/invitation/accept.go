package invitation

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

// AcceptInvitation implements the RPC.
func (s *Service) AcceptInvitation(ctx context.Context, req *authv1.AcceptInvitationRequest) (*authv1.AcceptInvitationResponse, error) {
	caller, err := identity.RequireSelf(ctx)
	if err != nil {
		return nil, err
	}
	now := clock.Stamp(s.deps.Clock)
	var accepted Invitation
	err = s.store.inTx(ctx, postgres.Scope{UserID: caller.UserID}, func(ctx context.Context, tx postgres.Tx) error {
		// The account may be deleted, or get another address, at the same time.
		mine, err := s.deps.Users.Lock(ctx, tx, caller.UserID)
		if err != nil {
			return err
		}
		if accepted, err = s.accept(ctx, tx, securetoken.Hash(req.GetToken()), mine, now); err != nil {
			return err
		}
		member := organization.Member{
			OrganizationID: accepted.OrganizationID, User: user.User{ID: mine.ID}, Roles: accepted.Roles, CreateTime: now, UpdateTime: now,
		}
		if err := s.deps.Organizations.InsertMember(ctx, tx, member); err != nil {
			return err
		}
		return s.record(ctx, tx, accepted, "accepted")
	})
	if err != nil {
		return nil, err
	}
	return &authv1.AcceptInvitationResponse{OrganizationId: accepted.OrganizationID}, nil
}

// accept uses up an invitation for the user with its token and its address, if its
// inviter could still send it. It locks the organization first, as every change of the
// inviter's rights does, and leaves the transaction in the organization's scope.
func (s *Service) accept(ctx context.Context, tx postgres.Tx, hash []byte, mine user.User, now time.Time) (Invitation, error) {
	address := user.NormalizeEmail(mine.Email)
	organizationID, err := s.store.find(ctx, tx, hash, address, now)
	if err != nil {
		return Invitation{}, err
	}
	if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: organizationID, UserID: mine.ID}); err != nil {
		return Invitation{}, err
	}
	if err := s.deps.Organizations.Lock(ctx, tx, organizationID); err != nil {
		return Invitation{}, err
	}
	i, err := s.store.accept(ctx, tx, organizationID, hash, address, now)
	if err != nil {
		return i, err
	}
	stale, err := s.unsendable(ctx, tx, organizationID, []Invitation{i}, nil)
	if err == nil && len(stale) > 0 {
		err = invalidInvitation()
	}
	return i, err
}

// Withdraw deletes the invitations of an organization that their inviters could no
// longer send. Every change that removes rights from a member calls it, in a
// transaction that has locked the organization. The users in without count as having no
// rights.
func (s *Service) Withdraw(ctx context.Context, tx postgres.Tx, organizationID string, without ...string) error {
	waiting, err := s.store.pendingList(ctx, tx, organizationID, s.deps.Clock.Now())
	if err != nil || len(waiting) == 0 {
		return err
	}
	stale, err := s.unsendable(ctx, tx, organizationID, waiting, without)
	if err != nil {
		return err
	}
	for _, i := range stale {
		if _, err := s.store.remove(ctx, tx, organizationID, i.ID); err != nil {
			return err
		}
		if err := s.record(ctx, tx, i, "withdrawn"); err != nil {
			return err
		}
	}
	return nil
}

// unsendable returns the invitations that their inviters could no longer send.
func (s *Service) unsendable(ctx context.Context, tx postgres.Tx, organizationID string, invitations []Invitation, without []string) ([]Invitation, error) {
	var inviters []string
	var roles [][]string
	for _, i := range invitations {
		inviters, roles = append(inviters, i.InviterID), append(roles, i.Roles)
	}
	inviters = slices.DeleteFunc(inviters, func(userID string) bool { return slices.Contains(without, userID) })
	held, err := s.deps.Rights.OfUsers(ctx, tx, organizationID, inviters)
	if err != nil {
		return nil, err
	}
	given, err := s.deps.Rights.OfRoleSets(ctx, tx, organizationID, roles...)
	if err != nil {
		return nil, err
	}
	var out []Invitation
	for n, i := range invitations {
		if organization.CheckManage(held[i.InviterID], organization.Grant{}, given[n]) != nil {
			out = append(out, i)
		}
	}
	return out, nil
}
