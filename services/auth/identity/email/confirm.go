package email

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

// VerifyEmail implements the RPC.
func (s *Service) VerifyEmail(ctx context.Context, req *authv1.VerifyEmailRequest) (*authv1.VerifyEmailResponse, error) {
	err := s.store.inTx(ctx, "", func(ctx context.Context, tx postgres.Tx) error {
		c, err := s.store.useToken(ctx, tx, securetoken.Hash(req.GetToken()), s.deps.Clock.Now(), string(toVerify), string(toChange))
		switch {
		case err != nil:
			return err
		case c.purpose == toChange:
			return s.changeAddress(ctx, tx, c)
		case c.userID != "":
			return s.verify(ctx, tx, c)
		default:
			return s.finish(ctx, tx, c, c.passwordHash)
		}
	})
	if err != nil {
		return nil, err
	}
	return &authv1.VerifyEmailResponse{}, nil
}

// ResetPassword implements the RPC. The password is hashed outside of the transaction,
// which uses a connection, and only for a valid token.
func (s *Service) ResetPassword(ctx context.Context, req *authv1.ResetPasswordRequest) (*authv1.ResetPasswordResponse, error) {
	presented := securetoken.Hash(req.GetToken())
	address, err := s.store.tokenAddress(ctx, presented, toReset, s.deps.Clock.Now())
	if err != nil {
		return nil, err
	}
	if err := user.CheckPassword(req.GetPassword(), address); err != nil {
		return nil, err
	}
	hash, err := s.deps.Hasher.Hash(ctx, req.GetPassword())
	if err != nil {
		return nil, err
	}
	err = s.store.inTx(ctx, "", func(ctx context.Context, tx postgres.Tx) error {
		c, err := s.store.useToken(ctx, tx, presented, s.deps.Clock.Now(), string(toReset))
		if err != nil {
			return err
		}
		return s.finish(ctx, tx, c, hash)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.ResetPasswordResponse{}, nil
}

// finish gives an address to the user who has confirmed it and chosen a password. The
// user gets the account that the address has, or a new one.
func (s *Service) finish(ctx context.Context, tx postgres.Tx, c claim, passwordHash string) error {
	account, err := s.deps.Users.TxForSignIn(ctx, tx, c.address)
	if err != nil {
		return err
	}
	// A sign-up confirms only an account whose address is unconfirmed. No link
	// works for another account than the one for which it was sent.
	if account.Disabled || (account.Verified && c.userID == "") || (c.userID != "" && c.userID != account.UserID) {
		return invalidToken()
	}
	if err := s.store.deleteTokens(ctx, tx, c.address, account.UserID); err != nil {
		return err
	}
	if account.UserID == "" {
		_, err := s.deps.Accounts.CreateConfirmed(ctx, tx, c.address, passwordHash, c.displayName)
		if fault.Is(err, faultv1.Reason_REASON_EMAIL_TAKEN) {
			return invalidToken() // another link was used at the same time
		}
		return err
	}
	return s.resetPassword(ctx, tx, account, passwordHash)
}

// TakeOver gives an account with an unconfirmed address to the user who has proved
// elsewhere that the address is theirs. It removes the password and everything else
// with which the creator of the account could sign in. It leaves the transaction in the
// user's scope.
func (s *Service) TakeOver(ctx context.Context, tx postgres.Tx, account user.Account) error {
	u, err := s.lockUser(ctx, tx, account.UserID)
	if err != nil {
		return err
	}
	if err := s.store.deleteTokens(ctx, tx, u.Email, u.ID); err != nil {
		return err
	}
	if err := s.resetCredentials(ctx, tx, u, ""); err != nil {
		return err
	}
	return s.record(ctx, tx, u.ID, account.OrganizationID, "taken_over")
}

// resetPassword sets a new password, and ends what was opened with the old one.
func (s *Service) resetPassword(ctx context.Context, tx postgres.Tx, account user.Account, passwordHash string) error {
	u, err := s.lockUser(ctx, tx, account.UserID)
	if err != nil {
		return err
	}
	if err := s.resetCredentials(ctx, tx, u, passwordHash); err != nil {
		return err
	}
	if err := s.record(ctx, tx, u.ID, account.OrganizationID, "password_reset"); err != nil {
		return err
	}
	return s.deps.Mail.Enqueue(ctx, tx, mailing.Message{Kind: mailWasReset, Address: u.Email, Locale: u.Locale})
}

// resetCredentials confirms a user's address, sets the password, and ends what was
// opened with the old one. In an account that was never confirmed, the other
// credentials belong to somebody else and are deleted too.
func (s *Service) resetCredentials(ctx context.Context, tx postgres.Tx, u user.User, passwordHash string) error {
	deletions := []DeleteFunc{s.deps.DeleteKeys}
	if !u.EmailVerified {
		deletions = append(deletions, s.deps.DeleteFactors, s.deps.DeleteIdentities)
	}
	u.PasswordHash, u.EmailVerified = passwordHash, true
	if err := s.save(ctx, tx, u); err != nil {
		return err
	}
	if _, err := s.deps.Sessions.End(ctx, tx, u.ID, "", ""); err != nil {
		return err
	}
	for _, del := range deletions {
		if err := del(ctx, tx, u.ID); err != nil {
			return err
		}
	}
	return nil
}

// verify confirms the address of an account, unless the account has another address by
// now.
func (s *Service) verify(ctx context.Context, tx postgres.Tx, c claim) error {
	u, err := s.lockUser(ctx, tx, c.userID)
	if err != nil {
		return err
	}
	if u.Disabled || user.NormalizeEmail(u.Email) != user.NormalizeEmail(c.address) {
		return invalidToken()
	}
	u.EmailVerified = true
	if err := s.save(ctx, tx, u); err != nil {
		return err
	}
	return s.recordHome(ctx, tx, u.ID, "email_verified")
}

// changeAddress changes the address of an account, unless the password was changed
// after the request: then somebody else may have known the password. The links that
// were sent to the old address are no longer valid.
func (s *Service) changeAddress(ctx context.Context, tx postgres.Tx, c claim) error {
	u, err := s.lockUser(ctx, tx, c.userID)
	if err != nil {
		return err
	}
	if u.Disabled || u.PasswordHash != c.passwordHash {
		return invalidToken()
	}
	old := u.Email
	u.Email, u.EmailVerified = c.address, true
	if err := s.save(ctx, tx, u); err != nil {
		if fault.Is(err, faultv1.Reason_REASON_EMAIL_TAKEN) {
			return invalidToken()
		}
		return err
	}
	for _, address := range []string{old, c.address} {
		if err := s.store.deleteTokens(ctx, tx, address, u.ID); err != nil {
			return err
		}
	}
	if err := s.recordHome(ctx, tx, u.ID, "email_changed"); err != nil {
		return err
	}
	return s.deps.Mail.Enqueue(ctx, tx, mailing.Message{
		Kind: mailChanged, Address: old, Locale: u.Locale, Data: map[string]string{"address": c.address},
	})
}

// lockUser moves the transaction to the user's scope, and locks the user.
func (s *Service) lockUser(ctx context.Context, tx postgres.Tx, userID string) (user.User, error) {
	if err := postgres.Enter(ctx, tx, postgres.Scope{UserID: userID}); err != nil {
		return user.User{}, err
	}
	u, err := s.deps.Users.Lock(ctx, tx, userID)
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return u, invalidToken()
	}
	return u, err
}

func (s *Service) save(ctx context.Context, tx postgres.Tx, u user.User) error {
	u.Revision, u.UpdateTime = u.Revision+1, clock.Stamp(s.deps.Clock)
	return s.deps.Users.SaveAddress(ctx, tx, u)
}

// recordHome records an action in the organization in which the user's sessions start.
func (s *Service) recordHome(ctx context.Context, tx postgres.Tx, userID, verb string) error {
	home, err := s.deps.Users.HomeOrganization(ctx, tx, userID)
	if err != nil {
		return err
	}
	return s.record(ctx, tx, userID, home, verb)
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, userID, organizationID, verb string) error {
	if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: organizationID, UserID: userID}); err != nil {
		return err
	}
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: organizationID, ActorID: userID, Action: "auth.user." + verb, ResourceType: "user", ResourceID: userID,
	})
}
