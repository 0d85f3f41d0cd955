package organization

import (
	"context"
	"slices"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// DeleteOrganization implements the RPC. The caller need not act in the organization,
// because an app leaves it first.
func (s *Service) DeleteOrganization(ctx context.Context, req *authv1.DeleteOrganizationRequest) (*authv1.DeleteOrganizationResponse, error) {
	p, err := s.deps.Fresh(ctx)
	if err != nil {
		return nil, err
	}
	_, err = s.changeState(ctx, p, req.GetId(), "deleted", func(ctx context.Context, tx postgres.Tx, o Organization) (Organization, error) {
		if o.DeleteTime != nil {
			return o, fault.New(faultv1.Reason_REASON_CONFLICT, "the organization is already deleted")
		}
		if o.Personal {
			return o, fault.New(faultv1.Reason_REASON_CONFLICT, "a personal organization is deleted with its user's account")
		}
		now := clock.Stamp(s.deps.Clock)
		purge := now.Add(Grace)
		o.DeleteTime, o.PurgeTime = &now, &purge
		return o, s.suspend(ctx, tx, o.ID)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteOrganizationResponse{}, nil
}

// UndeleteOrganization implements the RPC. Nobody acts in a deleted organization, so
// the caller acts in another one.
func (s *Service) UndeleteOrganization(ctx context.Context, req *authv1.UndeleteOrganizationRequest) (*authv1.Organization, error) {
	p, err := identity.RequireSelf(ctx)
	if err != nil {
		return nil, err
	}
	o, err := s.changeState(ctx, p, req.GetId(), "restored", func(ctx context.Context, tx postgres.Tx, o Organization) (Organization, error) {
		if o.DeleteTime == nil || !s.deps.Clock.Now().Before(*o.PurgeTime) {
			return o, fault.New(faultv1.Reason_REASON_CONFLICT, "the organization is not deleted, or can no longer be restored")
		}
		o.DeleteTime, o.PurgeTime = nil, nil
		if err := s.deps.Store.resume(ctx, tx, o.ID); err != nil {
			return o, err
		}
		// While the organization was deleted, inviters may have left or been
		// disabled.
		return o, s.deps.Withdraw(ctx, tx, o.ID)
	})
	if err != nil {
		return nil, err
	}
	return encode(o), nil
}

// suspend ends all access to an organization. It suspends the memberships, so no other
// code needs to check whether an organization is deleted. The tokens are revoked after
// that, because tokens that are being issued lock the memberships.
func (s *Service) suspend(ctx context.Context, tx postgres.Tx, organizationID string) error {
	if err := s.deps.Store.suspend(ctx, tx, organizationID); err != nil {
		return err
	}
	return s.deps.Revocations.RevokeOrganization(ctx, tx, organizationID)
}

// changeState lets an owner delete or restore an organization, and writes the audit row
// in the same transaction.
func (s *Service) changeState(ctx context.Context, p *identity.Principal, organizationID, verb string,
	edit func(ctx context.Context, tx postgres.Tx, o Organization) (Organization, error),
) (o Organization, err error) {
	err = s.deps.Store.inTx(ctx, organizationID, func(ctx context.Context, tx postgres.Tx) error {
		if o, err = s.deps.Store.lockAny(ctx, tx, organizationID); err != nil {
			return err
		}
		roles, err := s.deps.Store.roles(ctx, tx, organizationID, p.UserID)
		if err != nil {
			return err
		}
		if len(roles) == 0 {
			return fault.NotFound("organization")
		}
		if !slices.Contains(roles, RoleOwner) {
			return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED, "only an owner may delete or restore an organization")
		}
		if o, err = edit(ctx, tx, o); err != nil {
			return err
		}
		o.Revision, o.UpdateTime = o.Revision+1, clock.Stamp(s.deps.Clock)
		if err := s.deps.Store.save(ctx, tx, o); err != nil {
			return err
		}
		return s.recordState(ctx, tx, o.ID, verb)
	})
	return o, err
}

// recordState writes the audit row of a deletion, a restoration or a purge.
func (s *Service) recordState(ctx context.Context, tx postgres.Tx, organizationID, verb string) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: organizationID, Action: "auth.organization." + verb, ResourceType: "organization", ResourceID: organizationID,
	})
}

// purge deletes the organizations whose grace period has ended, a bounded number of
// rows in each transaction.
func (s *Service) purge(ctx context.Context) error {
	for {
		found, err := s.deps.Store.purge(ctx, s.deps.Clock.Now(), func(ctx context.Context, tx postgres.Tx, organizationID string) error {
			if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: organizationID}); err != nil {
				return err
			}
			return s.recordState(ctx, tx, organizationID, "purged")
		})
		if err != nil || !found {
			return err
		}
	}
}

// LeaveAll ends all memberships of a user whose account is being deleted. It runs in a
// transaction in the user's scope, which it changes. The personal organization is
// purged. The call fails when the user is the last owner of another organization.
func (s *Service) LeaveAll(ctx context.Context, tx postgres.Tx, userID string) error {
	return s.eachMembership(ctx, tx, userID, func(m Membership) error { return s.leave(ctx, tx, m, userID) })
}

// eachMembership calls a function for each membership of a user, in the scope of its
// organization. It runs in a transaction in the user's scope, and restores that scope.
func (s *Service) eachMembership(ctx context.Context, tx postgres.Tx, userID string, do func(Membership) error) error {
	memberships, err := s.deps.Store.memberships(ctx, tx, userID)
	if err != nil {
		return err
	}
	for _, m := range memberships {
		if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: m.OrganizationID, UserID: userID}); err != nil {
			return err
		}
		if err := do(m); err != nil {
			return err
		}
	}
	return postgres.Enter(ctx, tx, postgres.Scope{UserID: userID})
}

// leave ends one membership.
func (s *Service) leave(ctx context.Context, tx postgres.Tx, m Membership, userID string) error {
	o, err := s.deps.Store.lockAny(ctx, tx, m.OrganizationID)
	if err != nil {
		return err
	}
	// The roles may have changed before the lock.
	if m.Roles, err = s.deps.Store.roles(ctx, tx, m.OrganizationID, userID); err != nil || len(m.Roles) == 0 {
		return err
	}
	owners, err := s.deps.Store.owners(ctx, tx, m.OrganizationID)
	if err != nil {
		return err
	}
	last := owners <= 1 && slices.Contains(m.Roles, RoleOwner)
	if last && !o.Personal && o.DeleteTime == nil {
		return fault.New(faultv1.Reason_REASON_LAST_OWNER,
			"you are the last owner of %q (%s): make another member an owner, or delete it first", o.DisplayName, o.ID)
	}
	now := clock.Stamp(s.deps.Clock)
	if last && o.Personal {
		o.DeleteTime, o.PurgeTime, o.Revision, o.UpdateTime = &now, &now, o.Revision+1, now
		if err := s.deps.Store.save(ctx, tx, o); err != nil {
			return err
		}
		// It may have other members, who were invited.
		if err := s.suspend(ctx, tx, o.ID); err != nil {
			return err
		}
	}
	left := Member{OrganizationID: o.ID, UpdateTime: now}
	left.User.ID = userID
	if err := s.deps.Store.DeleteMember(ctx, tx, left); err != nil {
		return err
	}
	if o.DeleteTime == nil {
		if err := s.deps.Withdraw(ctx, tx, o.ID); err != nil {
			return err
		}
	}
	return s.record(ctx, tx, left, "removed", m.Roles, nil)
}

// WithdrawSent withdraws the invitations that a user who is being disabled has sent, in
// all organizations. It runs in a transaction in the user's scope; it changes the scope
// and restores it.
func (s *Service) WithdrawSent(ctx context.Context, tx postgres.Tx, userID string) error {
	return s.eachMembership(ctx, tx, userID, func(m Membership) error {
		o, err := s.deps.Store.lockAny(ctx, tx, m.OrganizationID)
		if err != nil || o.DeleteTime != nil {
			return err // restoring the organization checks its invitations
		}
		return s.deps.Withdraw(ctx, tx, o.ID, userID)
	})
}
