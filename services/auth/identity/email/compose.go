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

// The kinds of letters. Those that have no writer are called as their template.
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

// What a letter tells its writer.
const (
	dataUser     = "userId"
	dataPassword = "passwordHash"
	dataName     = "displayName"
)

// composeSignUp confirms a sign-up, or tells that there is an account.
func (s *Service) composeSignUp(ctx context.Context, l mailing.Message) (mailing.Content, error) {
	account, err := s.deps.Users.ForSignIn(ctx, l.Address)
	if err != nil {
		return mailing.Content{}, err
	}
	if account.Verified || account.Disabled {
		return mailing.Content{Template: "address_taken", Locale: account.Locale}, nil
	}
	return s.withLink(ctx, l, "confirm_sign_up", verifyPage, VerifyTTL, claim{
		purpose: toVerify, passwordHash: l.Data[dataPassword], displayName: l.Data[dataName],
	})
}

// composeConfirm confirms the address of an account, for whoever is signed in to it.
func (s *Service) composeConfirm(ctx context.Context, l mailing.Message) (mailing.Content, error) {
	u, err := s.recipient(ctx, l)
	if err != nil || u.EmailVerified || user.NormalizeEmail(u.Email) != user.NormalizeEmail(l.Address) {
		return mailing.Content{}, err
	}
	return s.withLink(ctx, l, "confirm_address", verifyPage, VerifyTTL, claim{purpose: toVerify, userID: u.ID})
}

// composeResend gives whoever reads an unconfirmed address the choice of a password:
// anybody can have asked for the letter, so it must not confirm another's.
func (s *Service) composeResend(ctx context.Context, l mailing.Message) (mailing.Content, error) {
	account, err := s.deps.Users.ForSignIn(ctx, l.Address)
	if err != nil || account.Verified || account.Disabled {
		return mailing.Content{}, err
	}
	c := claim{purpose: toReset, userID: account.UserID}
	if account.UserID == "" {
		displayName, waits, err := s.deps.Store.pendingSignUp(ctx, l.Address, s.deps.Clock.Now())
		if err != nil || !waits {
			return mailing.Content{}, err
		}
		c.displayName = displayName
	}
	return s.withLink(ctx, l, "finish_sign_up", resetPage, ResetTTL, c)
}

// composeReset lets the reader of an account's mail choose a password.
func (s *Service) composeReset(ctx context.Context, l mailing.Message) (mailing.Content, error) {
	account, err := s.deps.Users.ForSignIn(ctx, l.Address)
	if err != nil || account.UserID == "" || account.Disabled {
		return mailing.Content{}, err
	}
	l.Locale = account.Locale
	return s.withLink(ctx, l, "reset_password", resetPage, ResetTTL, claim{purpose: toReset, userID: account.UserID})
}

// composeChange confirms an account's new address, or tells whose it is that it was
// asked for.
func (s *Service) composeChange(ctx context.Context, l mailing.Message) (mailing.Content, error) {
	u, err := s.recipient(ctx, l)
	if err != nil || u.ID == "" || u.PasswordHash != l.Data[dataPassword] {
		return mailing.Content{}, err
	}
	taken, err := s.deps.Users.ForSignIn(ctx, l.Address)
	if err != nil {
		return mailing.Content{}, err
	}
	if taken.UserID != "" && taken.UserID != u.ID {
		return mailing.Content{Template: "address_in_use", Locale: taken.Locale}, nil
	}
	return s.withLink(ctx, l, "confirm_new_address", verifyPage, changeTTL, claim{
		purpose: toChange, userID: u.ID, passwordHash: u.PasswordHash,
	})
}

// recipient returns the user that a letter is about; the zero User when it is gone, or
// may not sign in.
func (s *Service) recipient(ctx context.Context, l mailing.Message) (user.User, error) {
	u, err := s.deps.Users.Find(ctx, l.Data[dataUser])
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) || (err == nil && u.Disabled) {
		return user.User{}, nil
	}
	return u, err
}

// withLink is a letter with a link, whose time begins now.
func (s *Service) withLink(ctx context.Context, l mailing.Message, template, page string, ttl time.Duration, c claim) (mailing.Content, error) {
	token, hash := securetoken.New()
	now := clock.Stamp(s.deps.Clock)
	c.address = l.Address
	if err := s.deps.Store.insertToken(ctx, l.ID, c, hash, now, now.Add(ttl)); err != nil {
		return mailing.Content{}, err
	}
	return mailing.Content{Template: template, Locale: l.Locale, Data: map[string]string{"link": s.link(page, token)}}, nil
}
