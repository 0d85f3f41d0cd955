package session

import (
	"context"
	"errors"

	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

// SignIn implements the RPC.
func (s *Service) SignIn(ctx context.Context, req *authv1.SignInRequest) (*authv1.TokenResponse, error) {
	account, err := s.deps.Users.ForSignIn(ctx, req.GetEmail())
	if err != nil {
		return nil, err
	}
	right, err := s.deps.Passwords.Verify(ctx, user.NormalizeEmail(req.GetEmail()), account.PasswordHash, req.GetPassword())
	if err != nil {
		return nil, err
	}
	if !right || account.Disabled || (s.deps.Addresses.Required() && !account.Verified) {
		return nil, wrongCredentials()
	}
	// The password may have been changed while it was verified.
	unchanged := func(u user.User) bool { return u.PasswordHash == account.PasswordHash }
	return s.admit(ctx, account.OrganizationID, account.UserID, unchanged, identity.MethodPassword)
}

// Admit returns the tokens of a new session of a user who has presented a first factor,
// or the challenge of the second factor where one is enrolled.
func (s *Service) Admit(ctx context.Context, organizationID, userID string, methods ...string) (*authv1.TokenResponse, error) {
	return s.admit(ctx, organizationID, userID, func(user.User) bool { return true }, methods...)
}

// admit is [Service.Admit] on the condition that unchanged still holds for the user.
func (s *Service) admit(ctx context.Context, organizationID, userID string, unchanged func(user.User) bool, methods ...string) (*authv1.TokenResponse, error) {
	challenge, lacking, err := s.deps.Factors.Challenge(ctx, userID, methods)
	if err != nil {
		return nil, err
	}
	if lacking {
		err := s.deps.Store.inTx(ctx, "", userID, func(ctx context.Context, tx postgres.Tx) error {
			_, err := s.lockUnchanged(ctx, tx, userID, unchanged)
			return err
		})
		if err != nil {
			return nil, err
		}
		return &authv1.TokenResponse{MfaChallenge: &authv1.MfaChallenge{Id: challenge.ID, Methods: challenge.Methods}}, nil
	}
	before := func(ctx context.Context, tx postgres.Tx, session *Session) error {
		return s.checkAdmission(ctx, tx, session, unchanged)
	}
	tokens, err := s.begin(ctx, s.newSession(ctx, organizationID, userID, methods), before)
	if errors.Is(err, errEnrolled) {
		return s.admit(ctx, organizationID, userID, unchanged, methods...)
	}
	return tokens, err
}

// errEnrolled reports a factor that was enrolled during the sign-in.
var errEnrolled = errors.New("session: a factor was enrolled during the sign-in")

// checkAdmission checks again, in the transaction of a new session, that no second
// factor is required, and informs the user about a new device.
func (s *Service) checkAdmission(ctx context.Context, tx postgres.Tx, session *Session, unchanged func(user.User) bool) error {
	u, err := s.lockUnchanged(ctx, tx, session.UserID, unchanged)
	if err != nil {
		return err
	}
	enrolled, err := s.deps.Factors.Enrolled(ctx, tx, session.UserID)
	if err != nil {
		return err
	}
	if enrolled {
		return errEnrolled
	}
	return s.notifyNewDevice(ctx, tx, *session, u)
}

// lockUnchanged locks a user, and returns the user if unchanged still holds.
func (s *Service) lockUnchanged(ctx context.Context, tx postgres.Tx, userID string, unchanged func(user.User) bool) (user.User, error) {
	if err := s.deps.Users.LockShared(ctx, tx, userID); err != nil {
		return user.User{}, err
	}
	u, err := s.deps.Users.Get(ctx, tx, userID)
	if err == nil && !unchanged(u) {
		err = wrongCredentials()
	}
	return u, err
}
