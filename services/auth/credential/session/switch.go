package session

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// SwitchOrganization implements the RPC. The user presents no new credential. So the
// new session gets the methods, the time of authentication and the expiry of the
// current one.
func (s *Service) SwitchOrganization(ctx context.Context, req *authv1.SwitchOrganizationRequest) (*authv1.TokenResponse, error) {
	p, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	session := s.newSession(ctx, req.GetOrganizationId(), p.UserID, nil)
	return s.begin(ctx, session, func(ctx context.Context, tx postgres.Tx, session *Session) error {
		current, err := s.current(ctx, tx, p)
		session.Methods, session.AuthTime, session.ExpireTime = current.Methods, current.AuthTime, current.ExpireTime
		session.OpenedFrom = current.ID
		return err
	})
}

// current returns the caller's session. If the user has enrolled a factor since it
// started, the session must use the factor first.
func (s *Service) current(ctx context.Context, tx postgres.Tx, p *identity.Principal) (Session, error) {
	if err := s.deps.Users.LockShared(ctx, tx, p.UserID); err != nil {
		return Session{}, err
	}
	current, alive, err := s.deps.Store.current(ctx, tx, p.OrganizationID, p.SessionID, p.UserID, s.deps.Clock.Now())
	if err == nil && !alive {
		err = identity.Unauthenticated()
	}
	if err == nil && identity.BoundToOrganization(current.Methods) {
		err = identity.StepUpRequired()
	}
	if err != nil || identity.ShowedFactor(current.Methods) {
		return current, err
	}
	enrolled, err := s.deps.Factors.Enrolled(ctx, tx, p.UserID)
	if err == nil && enrolled {
		err = identity.StepUpRequired()
	}
	return current, err
}
