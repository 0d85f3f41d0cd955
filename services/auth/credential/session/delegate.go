package session

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

// Delegate opens the session in which an OAuth client acts for a user, in a transaction
// in the user's scope in the organization. It returns the function that signs the
// session's tokens after the commit. The caller sets the ids, the scopes, the methods
// and the time of authentication; the other fields are set here.
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
