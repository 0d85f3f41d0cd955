package email

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
)

// SignUp accepts a sign-up whose address must be confirmed. Whether the address already
// has an account is checked later, and only the email reveals it.
func (s *Service) SignUp(ctx context.Context, address, passwordHash, displayName string) error {
	return s.deps.Mail.EnqueueNow(ctx, mailing.Message{Kind: mailSignUp, Address: address, Data: map[string]string{
		dataPassword: passwordHash, dataName: displayName,
	}})
}

// SendConfirmation queues the email with which the user of a new account confirms the
// address, in the transaction that created the account.
func (s *Service) SendConfirmation(ctx context.Context, tx postgres.Tx, u user.User) error {
	return s.deps.Mail.Enqueue(ctx, tx, confirmation(u))
}

// confirmation returns the email that confirms the address of an account.
func confirmation(u user.User) mailing.Message {
	return mailing.Message{Kind: mailConfirm, Address: u.Email, Locale: u.Locale, Data: map[string]string{dataUser: u.ID}}
}

// ResendVerification implements the RPC.
func (s *Service) ResendVerification(ctx context.Context, req *authv1.ResendVerificationRequest) (*authv1.ResendVerificationResponse, error) {
	if err := s.deps.Mail.EnqueueNow(ctx, mailing.Message{Kind: mailResend, Address: req.GetEmail()}); err != nil {
		return nil, err
	}
	return &authv1.ResendVerificationResponse{}, nil
}

// ForgotPassword implements the RPC.
func (s *Service) ForgotPassword(ctx context.Context, req *authv1.ForgotPasswordRequest) (*authv1.ForgotPasswordResponse, error) {
	if err := s.deps.Mail.EnqueueNow(ctx, mailing.Message{Kind: mailReset, Address: req.GetEmail()}); err != nil {
		return nil, err
	}
	return &authv1.ForgotPasswordResponse{}, nil
}

// SendVerification implements the RPC.
func (s *Service) SendVerification(ctx context.Context, _ *authv1.SendVerificationRequest) (*authv1.SendVerificationResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	mine, err := s.deps.Users.Find(ctx, caller.UserID)
	if err != nil {
		return nil, err
	}
	if err := s.deps.Mail.EnqueueNow(ctx, confirmation(mine)); err != nil {
		return nil, err
	}
	return &authv1.SendVerificationResponse{}, nil
}

// ChangeEmail implements the RPC. The password is the fresh credential. A user with a
// second factor must also have used it recently.
func (s *Service) ChangeEmail(ctx context.Context, req *authv1.ChangeEmailRequest) (*authv1.ChangeEmailResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.requireFactor(ctx, caller); err != nil {
		return nil, err
	}
	mine, err := s.deps.Users.Find(ctx, caller.UserID)
	if err != nil {
		return nil, err
	}
	right, err := s.deps.Passwords.Verify(ctx, mine.ID, mine.PasswordHash, req.GetPassword())
	if err != nil {
		return nil, err
	}
	if !right {
		return nil, fault.New(faultv1.Reason_REASON_INVALID_CREDENTIALS, "the password is wrong")
	}
	if user.NormalizeEmail(req.GetNewEmail()) == user.NormalizeEmail(mine.Email) {
		return nil, fault.Invalid("newEmail", "is already the address of the account")
	}
	err = s.store.inTx(ctx, mine.ID, func(ctx context.Context, tx postgres.Tx) error {
		if err := s.deps.Mail.Enqueue(ctx, tx, mailing.Message{
			Kind: mailChange, Address: req.GetNewEmail(), Locale: mine.Locale,
			Data: map[string]string{dataUser: mine.ID, dataPassword: mine.PasswordHash},
		}); err != nil {
			return err
		}
		return s.deps.Mail.Enqueue(ctx, tx, mailing.Message{Kind: mailChangeRequested, Address: mine.Email, Locale: mine.Locale})
	})
	if err != nil {
		return nil, err
	}
	return &authv1.ChangeEmailResponse{}, nil
}

// requireFactor refuses a caller with a second factor who has not used it recently.
func (s *Service) requireFactor(ctx context.Context, caller *identity.Principal) error {
	enrolled, err := s.deps.Enrolled(ctx, caller.UserID)
	if err != nil || len(enrolled) == 0 {
		return err
	}
	if !identity.ShowedFactor(caller.Methods) {
		return identity.StepUpRequired()
	}
	_, err = identity.RequireFresh(ctx, s.deps.Clock, identity.MaxAuthAge)
	return err
}
