package session

import (
	"context"
	"errors"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/key"
	"github.com/gatehouse/gatehouse/services/auth/organization"
	"github.com/gatehouse/gatehouse/services/auth/revocation"
	"github.com/gatehouse/gatehouse/services/auth/user"
)

// Deps is what the room needs; all of it.
type Deps struct {
	Store         *Store
	Users         *user.Store
	Organizations *organization.Store
	Accounts      *Accounts
	Hasher        *user.Hasher
	Keys          *key.Ring
	Issuer        string
	Revocations   *revocation.Store
	Trail         *audit.Trail
	Clock         clock.Clock
}

// Service implements the RPCs of sessions.
type Service struct {
	authv1.UnsafeSessionServiceServer

	deps Deps
}

// NewService returns the service.
func NewService(deps Deps) (*Service, error) {
	if deps.Store == nil || deps.Users == nil || deps.Organizations == nil || deps.Accounts == nil || deps.Hasher == nil ||
		deps.Keys == nil || deps.Issuer == "" || deps.Revocations == nil || deps.Trail == nil || deps.Clock == nil {
		return nil, errors.New("session: every dependency is required")
	}
	return &Service{deps: deps}, nil
}

// SignUp implements the RPC.
func (s *Service) SignUp(ctx context.Context, req *authv1.SignUpRequest) (*authv1.TokenResponse, error) {
	account, err := s.deps.Accounts.prepare(ctx, req.GetEmail(), req.GetPassword(), req.GetDisplayName())
	if err != nil {
		return nil, err
	}
	return s.begin(ctx, account.organization.ID, account.user.ID, func(ctx context.Context, tx postgres.Tx, _ *Session) error {
		return s.deps.Accounts.insert(ctx, tx, account)
	})
}

// SignIn implements the RPC.
func (s *Service) SignIn(ctx context.Context, req *authv1.SignInRequest) (*authv1.TokenResponse, error) {
	account, err := s.deps.Users.ForSignIn(ctx, req.GetEmail())
	if err != nil {
		return nil, err
	}
	right, err := s.deps.Hasher.Verify(ctx, account.PasswordHash, req.GetPassword())
	if err != nil {
		return nil, err
	}
	if !right || account.Disabled {
		return nil, wrongCredentials()
	}
	return s.begin(ctx, account.OrganizationID, account.UserID, nil)
}

// SwitchOrganization implements the RPC. The user showed no credential now, so
// the time of the last one goes with the new session.
func (s *Service) SwitchOrganization(ctx context.Context, req *authv1.SwitchOrganizationRequest) (*authv1.TokenResponse, error) {
	p, ok := identity.FromContext(ctx)
	if !ok {
		return nil, identity.Unauthenticated()
	}
	return s.begin(ctx, req.GetOrganizationId(), p.UserID, func(_ context.Context, _ postgres.Tx, session *Session) error {
		session.AuthTime = p.AuthTime
		return nil
	})
}

// begin opens a session and answers its tokens. before runs first in the same
// transaction.
func (s *Service) begin(ctx context.Context, organizationID, userID string,
	before func(ctx context.Context, tx postgres.Tx, session *Session) error,
) (*authv1.TokenResponse, error) {
	// The key comes first: once committed, a session must not go unanswered.
	signing, err := s.deps.Keys.Signing(ctx)
	if err != nil {
		return nil, err
	}
	session := s.newSession(ctx, organizationID, userID)
	token, hash := newToken()
	var holder holder
	err = s.deps.Store.InTx(ctx, organizationID, userID, func(ctx context.Context, tx postgres.Tx) error {
		if before != nil {
			if err := before(ctx, tx, &session); err != nil {
				return err
			}
		}
		var err error
		if holder, err = s.holder(ctx, tx, session); err != nil {
			return err
		}
		if err := s.deps.Store.Insert(ctx, tx, session, hash); err != nil {
			return err
		}
		return s.record(ctx, tx, session, "created")
	})
	if err != nil {
		return nil, err
	}
	return s.tokens(signing, session, holder, token)
}

// Refresh implements the RPC.
func (s *Service) Refresh(ctx context.Context, req *authv1.RefreshRequest) (*authv1.TokenResponse, error) {
	// The key comes first: once used up, a token must not go unanswered.
	signing, err := s.deps.Keys.Signing(ctx)
	if err != nil {
		return nil, err
	}
	presented, now := hashToken(req.GetRefreshToken()), s.deps.Clock.Now()
	token, successor := newToken()
	var session Session
	var holder holder
	// A refusal is carried past the transaction: the revocation must be
	// committed, not rolled back with the answer.
	var refusal error
	err = s.deps.Store.InTx(ctx, "", "", func(ctx context.Context, tx postgres.Tx) error {
		var works bool
		var err error
		if session, works, err = s.deps.Store.Rotate(ctx, tx, presented, successor, now); err != nil {
			return err
		}
		if !works {
			refusal, err = s.refuse(ctx, tx, presented)
			return err
		}
		refusal = nil
		holder, err = s.holder(ctx, tx, session)
		return err
	})
	if err = errors.Join(err, refusal); err != nil {
		return nil, fault.From(err)
	}
	return s.tokens(signing, session, holder, token)
}

// refuse tells a stolen or repeated token from an unknown one, and ends the
// session of the former.
func (s *Service) refuse(ctx context.Context, tx postgres.Tx, presented []byte) (refusal, err error) {
	session, reused, ended, err := s.deps.Store.RevokeReused(ctx, tx, presented, s.deps.Clock.Now())
	if err != nil {
		return nil, err
	}
	if !reused {
		return invalidToken(), nil
	}
	if ended {
		if err := s.end(ctx, tx, session, "reuse_detected"); err != nil {
			return nil, err
		}
	}
	return reusedToken(), nil
}

// SignOut implements the RPC.
func (s *Service) SignOut(ctx context.Context, req *authv1.SignOutRequest) (*authv1.SignOutResponse, error) {
	err := s.deps.Store.InTx(ctx, "", "", func(ctx context.Context, tx postgres.Tx) error {
		session, ended, err := s.deps.Store.End(ctx, tx, hashToken(req.GetRefreshToken()), s.deps.Clock.Now())
		if err != nil || !ended {
			return err
		}
		return s.end(ctx, tx, session, "revoked")
	})
	if err != nil {
		return nil, err
	}
	return &authv1.SignOutResponse{}, nil
}

// holder is whom a session's tokens speak for.
type holder struct {
	user  user.User
	roles []string
}

func (s *Service) holder(ctx context.Context, tx postgres.Tx, session Session) (holder, error) {
	member, err := s.deps.Organizations.Member(ctx, tx, session.OrganizationID, session.UserID)
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return holder{}, fault.NotFound("organization")
	}
	if err != nil {
		return holder{}, err
	}
	u, err := s.deps.Users.Get(ctx, tx, session.UserID)
	if err != nil {
		return holder{}, err
	}
	if u.Disabled {
		return holder{}, identity.Unauthenticated()
	}
	return holder{user: u, roles: organization.TokenRoles(member.Roles, u.Operator)}, nil
}

// end takes the force from a session's access tokens, and records it.
func (s *Service) end(ctx context.Context, tx postgres.Tx, session Session, verb string) error {
	if err := s.deps.Revocations.EndSession(ctx, tx, session.ID); err != nil {
		return err
	}
	return s.record(ctx, tx, session, verb)
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, session Session, verb string) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: session.OrganizationID, ActorID: session.UserID, Action: "auth.session." + verb,
		ResourceType: "session", ResourceID: session.ID,
	})
}

// Sweep removes the sessions that ended by time, and answers how many.
func (s *Service) Sweep(ctx context.Context) (int64, error) {
	return s.deps.Store.DeleteExpired(ctx, s.deps.Clock.Now())
}
