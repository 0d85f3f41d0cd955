package auth

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

// NewUser is an account that whoever runs the installation makes.
type NewUser struct {
	// Email is the address that the person signs in with.
	Email string
	// Password obeys the rules of sign-up.
	Password string
	// DisplayName may be empty: then it is the address before the @.
	DisplayName string
	// Operator gives the user the role that spans organizations.
	Operator bool
}

// CreateUser makes an account with a personal organization, also where sign-up
// is closed. A taken address is EMAIL_TAKEN.
func (s *Service) CreateUser(ctx context.Context, u NewUser) error {
	return s.accountMaker.Create(ctx, u.Email, u.Password, u.DisplayName, u.Operator)
}

// DisableUser keeps a user from signing in, ends its sessions, API keys and open
// streams within seconds, and undoes that when disabled is false. An unknown
// address is NOT_FOUND.
func (s *Service) DisableUser(ctx context.Context, email string, disabled bool) error {
	verb := "enabled"
	if disabled {
		verb = "disabled"
	}
	return s.administer(ctx, email, verb, func(ctx context.Context, tx postgres.Tx, u user.User) (user.User, error) {
		u.Disabled = disabled
		if !disabled {
			return u, nil
		}
		return u, s.endAccess(ctx, tx, u.ID)
	})
}

// endAccess withdraws the invitations that a user sent, ends its sessions, and
// revokes its tokens and streams.
func (s *Service) endAccess(ctx context.Context, tx postgres.Tx, userID string) error {
	if err := s.organizations.WithdrawSent(ctx, tx, userID); err != nil {
		return err
	}
	if _, err := s.userSessions.End(ctx, tx, userID, "", ""); err != nil {
		return err
	}
	return s.revoked.RevokeUser(ctx, tx, userID)
}

// ResetFactors takes a user's second factors and recovery codes away, for somebody
// who has lost them all, and ends its sessions: with the password alone it signs
// in again.
func (s *Service) ResetFactors(ctx context.Context, email string) error {
	return s.administer(ctx, email, "factors_reset", func(ctx context.Context, tx postgres.Tx, u user.User) (user.User, error) {
		if err := s.factorStore.DeleteAll(ctx, tx, u.ID); err != nil {
			return u, err
		}
		_, err := s.userSessions.End(ctx, tx, u.ID, "", "")
		return u, err
	})
}

// GrantOperator gives a user the role that spans organizations, or takes it. It
// takes effect with the tokens that are issued from then on, and tokens from
// before lose their force.
func (s *Service) GrantOperator(ctx context.Context, email string, operator bool) error {
	verb := "operator_granted"
	if !operator {
		verb = "operator_taken"
	}
	return s.administer(ctx, email, verb, func(ctx context.Context, tx postgres.Tx, u user.User) (user.User, error) {
		u.Operator = operator
		return u, s.revoked.RevokeUser(ctx, tx, u.ID)
	})
}

// AdvanceKeys makes the next signing key sign from now on: for when the present
// one may be known to somebody. It is CONFLICT when the next key is too new to be
// known to every service.
func (s *Service) AdvanceKeys(ctx context.Context) error { return s.ring.Advance(ctx) }

// CheckKeys says which signing key cannot be used, and what to do.
func (s *Service) CheckKeys(ctx context.Context) error { return s.ring.Check(ctx) }

// DiscardKey removes a signing key that cannot be used, or must not be: what it
// signed loses its force. An unknown one is NOT_FOUND.
func (s *Service) DiscardKey(ctx context.Context, kid string) error { return s.ring.Discard(ctx, kid) }

// administer changes a user on the word of whoever runs the installation.
func (s *Service) administer(ctx context.Context, email, verb string,
	edit func(ctx context.Context, tx postgres.Tx, u user.User) (user.User, error),
) error {
	account, err := s.users.ForSignIn(ctx, email)
	if err != nil {
		return err
	}
	if account.UserID == "" {
		return fault.NotFound("user")
	}
	return s.users.InTx(ctx, account.UserID, func(ctx context.Context, tx postgres.Tx) error {
		u, err := s.users.Lock(ctx, tx, account.UserID)
		if err != nil {
			return err
		}
		if u, err = edit(ctx, tx, u); err != nil {
			return err
		}
		u.Revision, u.UpdateTime = u.Revision+1, clock.Stamp(s.clock)
		if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: account.OrganizationID, UserID: u.ID}); err != nil {
			return err
		}
		if err := s.users.Save(ctx, tx, u); err != nil {
			return err
		}
		return s.trail.Append(ctx, tx, audit.Event{
			OrganizationID: account.OrganizationID, Action: "auth.user." + verb, ResourceType: "user", ResourceID: u.ID,
		})
	})
}
