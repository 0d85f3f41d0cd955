package session

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// newSession returns a session of the request's device.
func (s *Service) newSession(ctx context.Context, organizationID, userID string, methods []string) Session {
	now, origin := s.deps.Clock.Now(), identity.OriginFromContext(ctx)
	agent := []rune(origin.UserAgent)
	return Session{
		ID: id.New(), OrganizationID: organizationID, UserID: userID, UserAgent: string(agent[:min(len(agent), maxUserAgent)]),
		IPAddress: origin.IPAddress, Methods: methods, AuthTime: now, CreateTime: now, ExpireTime: now.Add(TTL),
	}
}

// tokens signs an access token, and returns it with the refresh token.
func (s *Service) tokens(signing identity.SigningKey, session Session, h subject, refreshToken string) (*authv1.TokenResponse, error) {
	clientID := identity.FirstParty
	if session.ClientID != "" {
		clientID = session.ClientID
	}
	access, err := identity.SignAccess(signing, identity.AccessClaims{
		Issuer: s.deps.Issuer, Subject: session.UserID, ID: h.tokenID, ClientID: clientID, Scopes: session.Scopes,
		OrganizationID: session.OrganizationID, SessionID: session.ID, Roles: h.roles, Permissions: h.permissions,
		IssuedAt: h.at, ExpiresAt: h.at.Add(AccessTTL), AuthTime: session.AuthTime, AMR: session.Methods,
	})
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the token could not be signed")
	}
	return &authv1.TokenResponse{
		AccessToken: access, RefreshToken: refreshToken, TokenType: "Bearer", ExpiresIn: int32(AccessTTL.Seconds()),
		User: h.user.Message(),
	}, nil
}
