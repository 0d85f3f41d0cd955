package email

import (
	"context"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

// The kinds of emails. A kind without a composer has the name of its template.
const (
	mailSignUp  mailing.Kind = "sign_up"
	mailConfirm mailing.Kind = "confirm"
	mailResend  mailing.Kind = "resend"
	mailReset   mailing.Kind = "reset"
	mailChange  mailing.Kind = "change"
	mailSignIn  mailing.Kind = "sign_in"

	mailWasReset        mailing.Kind = "password_reset"
	mailChangeRequested mailing.Kind = "address_change_asked"
	mailChanged         mailing.Kind = "address_changed"
)

// The keys of the data that a message passes to its composer.
const (
	dataUser     = "userId"
	dataPassword = "passwordHash"
	dataName     = "displayName"
)

// composeSignUp returns the email that confirms a sign-up, or the one that says that
// the account exists.
func (s *Service) composeSignUp(ctx context.Context, m mailing.Message) (mailing.Content, error) {
	account, err := s.deps.Users.ForSignIn(ctx, m.Address)
	if err != nil {
		return mailing.Content{}, err
	}
	if account.Verified || account.Disabled {
		return mailing.Content{Template: "address_taken", Locale: account.Locale}, nil
	}
	return s.withLink(ctx, m, "confirm_sign_up", verifyPage, VerifyTTL, claim{
		purpose: toVerify, passwordHash: m.Data[dataPassword], displayName: m.Data[dataName],
	})
}

// composeConfirm returns the email that confirms the address of an account, requested
// by the signed-in user.
func (s *Service) composeConfirm(ctx context.Context, m mailing.Message) (mailing.Content, error) {
	u, err := s.recipient(ctx, m)
	if err != nil || u.EmailVerified || user.NormalizeEmail(u.Email) != user.NormalizeEmail(m.Address) {
		return mailing.Content{}, err
	}
	return s.withLink(ctx, m, "confirm_address", verifyPage, VerifyTTL, claim{purpose: toVerify, userID: u.ID})
}

// composeResend returns the email with which the owner of an unconfirmed address
// chooses a password. Anyone may have requested it, so it must not confirm a password
// that somebody else chose.
func (s *Service) composeResend(ctx context.Context, m mailing.Message) (mailing.Content, error) {
	account, err := s.deps.Users.ForSignIn(ctx, m.Address)
	if err != nil || account.Verified || account.Disabled {
		return mailing.Content{}, err
	}
	c := claim{purpose: toReset, userID: account.UserID}
	if account.UserID == "" {
		displayName, found, err := s.store.pendingSignUp(ctx, m.Address, s.deps.Clock.Now())
		if err != nil || !found {
			return mailing.Content{}, err
		}
		c.displayName = displayName
	}
	return s.withLink(ctx, m, "finish_sign_up", resetPage, ResetTTL, c)
}

// composeReset returns the email with which a user chooses a new password.
func (s *Service) composeReset(ctx context.Context, m mailing.Message) (mailing.Content, error) {
	account, err := s.deps.Users.ForSignIn(ctx, m.Address)
	if err != nil || account.UserID == "" || account.Disabled {
		return mailing.Content{}, err
	}
	m.Locale = account.Locale
	return s.withLink(ctx, m, "reset_password", resetPage, ResetTTL, claim{purpose: toReset, userID: account.UserID})
}

// composeChange returns the email that confirms the new address of an account. If
// another account has that address, it informs that account's user of the request.
func (s *Service) composeChange(ctx context.Context, m mailing.Message) (mailing.Content, error) {
	u, err := s.recipient(ctx, m)
	if err != nil || u.ID == "" || u.PasswordHash != m.Data[dataPassword] {
		return mailing.Content{}, err
	}
	taken, err := s.deps.Users.ForSignIn(ctx, m.Address)
	if err != nil {
		return mailing.Content{}, err
	}
	if taken.UserID != "" && taken.UserID != u.ID {
		return mailing.Content{Template: "address_in_use", Locale: taken.Locale}, nil
	}
	return s.withLink(ctx, m, "confirm_new_address", verifyPage, changeTTL, claim{
		purpose: toChange, userID: u.ID, passwordHash: u.PasswordHash,
	})
}

// recipient returns the user that a message is about. It is the zero User when the user
// is deleted or disabled.
func (s *Service) recipient(ctx context.Context, m mailing.Message) (user.User, error) {
	u, err := s.deps.Users.Find(ctx, m.Data[dataUser])
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) || (err == nil && u.Disabled) {
		return user.User{}, nil
	}
	return u, err
}

// withLink returns an email with a link, whose lifetime starts now.
func (s *Service) withLink(ctx context.Context, m mailing.Message, template, page string, ttl time.Duration, c claim) (mailing.Content, error) {
	token, hash := securetoken.New()
	now := clock.Stamp(s.deps.Clock)
	c.address = m.Address
	if err := s.store.insertToken(ctx, m.ID, c, hash, now, now.Add(ttl)); err != nil {
		return mailing.Content{}, err
	}
	return mailing.Content{Template: template, Locale: m.Locale, Data: map[string]string{"link": s.link(page, token)}}, nil
}
