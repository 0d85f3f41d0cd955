package auth

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/credential/usersession"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
)

// NewUser is an account to be created by the administrator of the installation.
type NewUser struct {
	// Email is the address with which the user signs in.
	Email string
	// Password follows the rules of sign-up.
	Password string
	// DisplayName may be empty: then the part of the address before the @ is used.
	DisplayName string
	// Operator gives the user rights over the whole installation.
	Operator bool
}

// CreateUser creates an account with a personal organization, even when sign-up is
// closed. An address that has an account is EMAIL_TAKEN.
func (s *Service) CreateUser(ctx context.Context, u NewUser) error {
	return s.accounts.Create(ctx, u.Email, u.Password, u.DisplayName, u.Operator)
}

// DisableUser disables a user, and ends its sessions, API keys and open streams within
// seconds. When disabled is false it enables the user again. An unknown address is
// NOT_FOUND.
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
		return u, s.access.end(ctx, tx, u.ID)
	})
}

// ResetFactors deletes a user's second factors and recovery codes, for a user who has
// lost them all, and ends the user's sessions. The user can then sign in with the
// password alone.
func (s *Service) ResetFactors(ctx context.Context, email string) error {
	return s.administer(ctx, email, "factors_reset", func(ctx context.Context, tx postgres.Tx, u user.User) (user.User, error) {
		if err := s.factors.DeleteAll(ctx, tx, u.ID); err != nil {
			return u, err
		}
		_, err := s.access.sessions.End(ctx, tx, u.ID, "", "")
		return u, err
	})
}

// GrantOperator makes a user an operator, or revokes that. The change takes effect with
// the next tokens of the user; it revokes the tokens issued before.
func (s *Service) GrantOperator(ctx context.Context, email string, operator bool) error {
	verb := "operator_granted"
	if !operator {
		verb = "operator_taken"
	}
	return s.administer(ctx, email, verb, func(ctx context.Context, tx postgres.Tx, u user.User) (user.User, error) {
		u.Operator = operator
		return u, s.revocations.RevokeUser(ctx, tx, u.ID)
	})
}

// AdvanceKeys makes the next signing key sign from now on, for when the current one may
// have leaked. It is CONFLICT when the next key is so new that a service may not have
// read it yet.
func (s *Service) AdvanceKeys(ctx context.Context) error { return s.ring.Advance(ctx) }

// CheckKeys returns an error that names the signing keys that cannot be used, and what to
// do about them.
func (s *Service) CheckKeys(ctx context.Context) error { return s.ring.Check(ctx) }

// DiscardKey deletes a signing key that cannot or must not be used. The tokens that it
// signed are no longer valid. An unknown key is NOT_FOUND.
func (s *Service) DiscardKey(ctx context.Context, kid string) error { return s.ring.Discard(ctx, kid) }

// administer changes a user at the request of the administrator of the installation, and
// records the change in the audit trail.
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

// access ends the access of users.
type access struct {
	organizations *organization.Service
	sessions      *usersession.Service
	revocations   *revocation.Store
}

// end withdraws the invitations that a user sent, ends the user's sessions, and revokes
// the user's tokens. It runs in a transaction in the user's scope.
func (a access) end(ctx context.Context, tx postgres.Tx, userID string) error {
	if err := a.organizations.WithdrawSent(ctx, tx, userID); err != nil {
		return err
	}
	if _, err := a.sessions.End(ctx, tx, userID, "", ""); err != nil {
		return err
	}
	return a.revocations.RevokeUser(ctx, tx, userID)
}
