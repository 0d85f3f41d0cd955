package session

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

// Delegate opens the session in which an OAuth client acts for a user, in a
// transaction of that user in the organization, and returns what signs its tokens
// once it is committed. Of the session, what says who acts for whom, with which
// scopes, and how and when the user signed in is the caller's; the rest is set
// here.
func (s *Service) Delegate(ctx context.Context, tx postgres.Tx, session Session,
) (sign func(identity.SigningKey) (*authv1.TokenResponse, error), err error) {
	opened := s.newSession(ctx, session.OrganizationID, session.UserID, session.Methods)
	opened.ID, opened.ClientID, opened.Scopes, opened.AuthTime = session.ID, session.ClientID, session.Scopes, session.AuthTime
	token, hash := securetoken.New()
	holder, err := s.open(ctx, tx, opened, hash)
	if err != nil {
		return nil, err
	}
	return func(signing identity.SigningKey) (*authv1.TokenResponse, error) {
		return s.tokens(signing, opened, holder, token)
	}, nil
}
