package session

import (
	"context"
	"errors"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

// Refresh implements the RPC.
func (s *Service) Refresh(ctx context.Context, req *authv1.RefreshRequest) (*authv1.TokenResponse, error) {
	tokens, _, err := s.RefreshFor(ctx, "", req.GetRefreshToken(), nil)
	return tokens, err
}

// RefreshFor uses up a refresh token of an OAuth client, or of a user's own session
// where clientID is empty, and returns new tokens. In the same transaction narrow may
// remove scopes of the session. When narrow fails, the token stays usable. A token of
// another client is refused and stays usable.
func (s *Service) RefreshFor(ctx context.Context, clientID, refreshToken string,
	narrow func(ctx context.Context, tx postgres.Tx, session *Session) error,
) (*authv1.TokenResponse, Session, error) {
	var session Session
	// The key is read first, so that no token is used up without a response.
	signing, err := s.deps.Keys.Signing(ctx)
	if err != nil {
		return nil, session, err
	}
	presented, now := securetoken.Hash(refreshToken), s.deps.Clock.Now()
	token, successor := securetoken.New()
	var holder subject
	// A refusal is returned after the transaction, so that the revocation is
	// committed.
	var refusal error
	err = s.deps.Store.inTx(ctx, "", "", func(ctx context.Context, tx postgres.Tx) error {
		var works bool
		var err error
		if session, works, err = s.deps.Store.rotate(ctx, tx, clientID, presented, successor, now); err != nil {
			return err
		}
		if !works {
			refusal, err = s.refuse(ctx, tx, clientID, presented)
			return err
		}
		refusal = nil
		if holder, err = s.lockSubject(ctx, tx, session); err != nil || narrow == nil {
			return err
		}
		return narrow(ctx, tx, &session)
	})
	if err = errors.Join(err, refusal); err != nil {
		return nil, session, fault.From(err)
	}
	tokens, err := s.tokens(signing, session, holder, token)
	return tokens, session, err
}

// refuse returns the refusal of a token that does not work. When the token was used
// before, it ends the token's session with all sessions that were opened from it.
func (s *Service) refuse(ctx context.Context, tx postgres.Tx, clientID string, presented []byte) (refusal, err error) {
	ended, reused, err := s.deps.Store.revokeReused(ctx, tx, clientID, presented, s.deps.Clock.Now())
	if err != nil {
		return nil, err
	}
	if !reused {
		return invalidToken(), nil
	}
	for _, session := range ended {
		scope := postgres.Scope{OrganizationID: session.OrganizationID, UserID: session.UserID}
		if err := postgres.Enter(ctx, tx, scope); err != nil {
			return nil, err
		}
		if err := s.end(ctx, tx, session, "reuse_detected"); err != nil {
			return nil, err
		}
	}
	return reusedToken(), nil
}

// SignOut implements the RPC.
func (s *Service) SignOut(ctx context.Context, req *authv1.SignOutRequest) (*authv1.SignOutResponse, error) {
	if err := s.SignOutFor(ctx, "", req.GetRefreshToken()); err != nil {
		return nil, err
	}
	return &authv1.SignOutResponse{}, nil
}

// SignOutFor ends the session of an OAuth client's refresh token. It ignores a token of
// another client.
func (s *Service) SignOutFor(ctx context.Context, clientID, refreshToken string) error {
	return s.deps.Store.inTx(ctx, "", "", func(ctx context.Context, tx postgres.Tx) error {
		session, ended, err := s.deps.Store.end(ctx, tx, clientID, securetoken.Hash(refreshToken), s.deps.Clock.Now())
		if err != nil || !ended {
			return err
		}
		return s.end(ctx, tx, session, "revoked")
	})
}

// end revokes a session's access tokens, and records the action.
func (s *Service) end(ctx context.Context, tx postgres.Tx, session Session, verb string) error {
	if err := s.deps.Revocations.RevokeSession(ctx, tx, session.ID); err != nil {
		return err
	}
	return s.record(ctx, tx, session, verb)
}
