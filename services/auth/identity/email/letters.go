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
	letterSignUp  mailing.Kind = "sign_up"
	letterConfirm mailing.Kind = "confirm"
	letterResend  mailing.Kind = "resend"
	letterReset   mailing.Kind = "reset"
	letterChange  mailing.Kind = "change"
	letterSignIn  mailing.Kind = "sign_in"

	letterWasReset    mailing.Kind = "password_reset"
	letterChangeAsked mailing.Kind = "address_change_asked"
	letterChanged     mailing.Kind = "address_changed"
)

// What a letter tells its writer.
const (
	dataUser     = "userId"
	dataPassword = "passwordHash"
	dataName     = "displayName"
)

// writeSignUp confirms a sign-up, or tells that there is an account.
func (s *Service) writeSignUp(ctx context.Context, l mailing.Letter) (mailing.Page, error) {
	account, err := s.deps.Users.ForSignIn(ctx, l.Address)
	if err != nil {
		return mailing.Page{}, err
	}
	if account.Verified || account.Disabled {
		return mailing.Page{Template: "address_taken", Locale: account.Locale}, nil
	}
	return s.linked(ctx, l, "confirm_sign_up", verifyPage, VerifyTTL, claim{
		purpose: toVerify, passwordHash: l.Data[dataPassword], displayName: l.Data[dataName],
	})
}

// writeConfirm confirms the address of an account, for whoever is signed in to it.
func (s *Service) writeConfirm(ctx context.Context, l mailing.Letter) (mailing.Page, error) {
	u, err := s.own(ctx, l)
	if err != nil || u.EmailVerified || user.NormalizeEmail(u.Email) != user.NormalizeEmail(l.Address) {
		return mailing.Page{}, err
	}
	return s.linked(ctx, l, "confirm_address", verifyPage, VerifyTTL, claim{purpose: toVerify, userID: u.ID})
}

// writeResend gives whoever reads an unconfirmed address the choice of a password:
// anybody can have asked for the letter, so it must not confirm another's.
func (s *Service) writeResend(ctx context.Context, l mailing.Letter) (mailing.Page, error) {
	account, err := s.deps.Users.ForSignIn(ctx, l.Address)
	if err != nil || account.Verified || account.Disabled {
		return mailing.Page{}, err
	}
	c := claim{purpose: toReset, userID: account.UserID}
	if account.UserID == "" {
		displayName, waits, err := s.deps.Store.waiting(ctx, l.Address, s.deps.Clock.Now())
		if err != nil || !waits {
			return mailing.Page{}, err
		}
		c.displayName = displayName
	}
	return s.linked(ctx, l, "finish_sign_up", resetPage, ResetTTL, c)
}

// writeReset lets the reader of an account's mail choose a password.
func (s *Service) writeReset(ctx context.Context, l mailing.Letter) (mailing.Page, error) {
	account, err := s.deps.Users.ForSignIn(ctx, l.Address)
	if err != nil || account.UserID == "" || account.Disabled {
		return mailing.Page{}, err
	}
	l.Locale = account.Locale
	return s.linked(ctx, l, "reset_password", resetPage, ResetTTL, claim{purpose: toReset, userID: account.UserID})
}

// writeChange confirms an account's new address, or tells whose it is that it was
// asked for.
func (s *Service) writeChange(ctx context.Context, l mailing.Letter) (mailing.Page, error) {
	u, err := s.own(ctx, l)
	if err != nil || u.ID == "" || u.PasswordHash != l.Data[dataPassword] {
		return mailing.Page{}, err
	}
	taken, err := s.deps.Users.ForSignIn(ctx, l.Address)
	if err != nil {
		return mailing.Page{}, err
	}
	if taken.UserID != "" && taken.UserID != u.ID {
		return mailing.Page{Template: "address_in_use", Locale: taken.Locale}, nil
	}
	return s.linked(ctx, l, "confirm_new_address", verifyPage, ChangeTTL, claim{
		purpose: toChange, userID: u.ID, passwordHash: u.PasswordHash,
	})
}

// own returns the user that a letter is about; the zero User when it is gone, or
// may not sign in.
func (s *Service) own(ctx context.Context, l mailing.Letter) (user.User, error) {
	u, err := s.deps.Users.Own(ctx, l.Data[dataUser])
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) || (err == nil && u.Disabled) {
		return user.User{}, nil
	}
	return u, err
}

// linked is a letter with a link, whose time begins now.
func (s *Service) linked(ctx context.Context, l mailing.Letter, template, page string, ttl time.Duration, c claim) (mailing.Page, error) {
	token, hash := securetoken.New()
	now := clock.Stamp(s.deps.Clock)
	c.address = l.Address
	if err := s.deps.Store.keep(ctx, l.ID, c, hash, now, now.Add(ttl)); err != nil {
		return mailing.Page{}, err
	}
	return mailing.Page{Template: template, Locale: l.Locale, Data: map[string]string{"link": s.link(page, token)}}, nil
}
