package session

import (
	"context"
	"errors"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/credential/factor"
	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

// SignInMfa implements the RPC.
func (s *Service) SignInMfa(ctx context.Context, req *authv1.SignInMfaRequest) (*authv1.TokenResponse, error) {
	return s.finishChallenge(ctx, func(ctx context.Context, tx postgres.Tx) (factor.Completed, error, error) {
		return s.deps.Factors.AnswerChallenge(ctx, tx, req.GetChallengeId(), req.GetCode())
	})
}

// BeginPasskeySignIn implements the RPC.
func (s *Service) BeginPasskeySignIn(ctx context.Context, req *authv1.BeginPasskeySignInRequest) (*authv1.PasskeyCeremony, error) {
	return s.deps.Passkeys.BeginSignIn(ctx, req.GetMfaChallengeId())
}

// FinishPasskeySignIn implements the RPC.
func (s *Service) FinishPasskeySignIn(ctx context.Context, req *authv1.FinishPasskeySignInRequest) (*authv1.TokenResponse, error) {
	return s.finishChallenge(ctx, func(ctx context.Context, tx postgres.Tx) (factor.Completed, error, error) {
		return s.deps.Passkeys.FinishSignIn(ctx, tx, req.GetChallengeId(), req.GetCredential())
	})
}

// finishChallenge opens the session of a sign-in that verify completes, in the same
// transaction. A refusal by verify is returned after the transaction, which counts the
// attempt.
func (s *Service) finishChallenge(ctx context.Context, verify func(ctx context.Context, tx postgres.Tx) (a factor.Completed, refusal, err error)) (*authv1.TokenResponse, error) {
	// The key is read first, so that no challenge is used up without a response.
	signing, err := s.deps.Keys.Signing(ctx)
	if err != nil {
		return nil, err
	}
	token, hash := securetoken.New()
	var session Session
	var holder subject
	var refusal error
	err = s.deps.Store.inTx(ctx, "", "", func(ctx context.Context, tx postgres.Tx) error {
		var a factor.Completed
		if a, refusal, err = verify(ctx, tx); refusal != nil || err != nil {
			return err
		}
		session = s.newSession(ctx, a.OrganizationID, a.UserID, a.Methods)
		u, err := s.deps.Users.Get(ctx, tx, a.UserID)
		if err != nil {
			return err
		}
		if s.deps.Addresses.Required() && !u.EmailVerified {
			return wrongCredentials() // the same response as for a wrong password
		}
		if err := s.notifyNewDevice(ctx, tx, session, u); err != nil {
			return err
		}
		holder, err = s.open(ctx, tx, session, hash)
		return err
	})
	if err = errors.Join(err, refusal); err != nil {
		return nil, fault.From(err)
	}
	return s.tokens(signing, session, holder, token)
}

// check verifies a credential in the transaction that renews a session, and returns the
// methods of the credential.
type check func(ctx context.Context, tx postgres.Tx) (methods []string, refusal, err error)

// StepUp implements the RPC.
func (s *Service) StepUp(ctx context.Context, req *authv1.StepUpRequest) (*authv1.TokenResponse, error) {
	p, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	switch credential := req.GetCredential().(type) {
	case *authv1.StepUpRequest_Code:
		return s.stepUp(ctx, p, func(ctx context.Context, tx postgres.Tx) (methods []string, refusal, err error) {
			refusal, err = s.deps.Factors.Check(ctx, tx, p.OrganizationID, p.UserID, credential.Code)
			return []string{identity.MethodOTP}, refusal, err
		})
	case *authv1.StepUpRequest_Passkey:
		return s.stepUp(ctx, p, func(ctx context.Context, tx postgres.Tx) (methods []string, refusal, err error) {
			return s.deps.Passkeys.Check(ctx, tx, p.OrganizationID, p.UserID, credential.Passkey)
		})
	default:
		if err := s.checkPassword(ctx, p, req.GetPassword()); err != nil {
			return nil, err
		}
		return s.stepUp(ctx, p, func(context.Context, postgres.Tx) (methods []string, refusal, err error) {
			return []string{identity.MethodPassword}, nil, nil
		})
	}
}

// checkPassword verifies the caller's password. It runs outside of any transaction,
// because hashing is slow. A password is not enough where a second factor is enrolled:
// an attacker who took over the session may know the password.
func (s *Service) checkPassword(ctx context.Context, p *identity.Principal, password string) error {
	enrolled, err := s.deps.Factors.Methods(ctx, p.UserID)
	if err != nil {
		return err
	}
	if len(enrolled) > 0 {
		return identity.StepUpRequired()
	}
	var hash string
	err = s.deps.Store.inTx(ctx, p.OrganizationID, p.UserID, func(ctx context.Context, tx postgres.Tx) error {
		u, err := s.deps.Users.Get(ctx, tx, p.UserID)
		hash = u.PasswordHash
		return err
	})
	if err != nil {
		return err
	}
	right, err := s.deps.Passwords.Verify(ctx, p.UserID, hash, password)
	if err == nil && !right {
		return wrongCredentials()
	}
	return err
}

// stepUp renews the caller's session after a credential.
func (s *Service) stepUp(ctx context.Context, p *identity.Principal, verify check) (*authv1.TokenResponse, error) {
	signing, err := s.deps.Keys.Signing(ctx)
	if err != nil {
		return nil, err
	}
	token, hash := securetoken.New()
	var session Session
	var holder subject
	var refusal error
	err = s.deps.Store.inTx(ctx, p.OrganizationID, p.UserID, func(ctx context.Context, tx postgres.Tx) error {
		var methods []string
		if methods, refusal, err = verify(ctx, tx); refusal != nil || err != nil {
			return err
		}
		session, holder, err = s.renew(ctx, tx, p, methods, hash)
		return err
	})
	if err = errors.Join(err, refusal); err != nil {
		return nil, fault.From(err)
	}
	return s.tokens(signing, session, holder, token)
}

// renew stores the new methods and the new refresh token of a session.
func (s *Service) renew(ctx context.Context, tx postgres.Tx, p *identity.Principal, methods []string, hash []byte) (Session, subject, error) {
	now := s.deps.Clock.Now()
	session, alive, err := s.deps.Store.current(ctx, tx, p.OrganizationID, p.SessionID, p.UserID, now)
	if err != nil {
		return session, subject{}, err
	}
	if !alive {
		return session, subject{}, identity.Unauthenticated()
	}
	session.Methods, session.AuthTime = factor.Combine(session.Methods, methods...), now
	h, err := s.lockSubject(ctx, tx, session)
	if err != nil {
		return session, h, err
	}
	if err := s.deps.Store.stepUp(ctx, tx, session, hash); err != nil {
		return session, h, err
	}
	return session, h, s.record(ctx, tx, session, "stepped_up")
}
