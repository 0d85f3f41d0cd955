package session

import (
	"context"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
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

// subject is the user and the rights of a session's tokens.
type subject struct {
	user               user.User
	roles, permissions []string
	// tokenID is the id of the access token. It was created at the time at, while the
	// rights were locked: a revocation uses it to tell older tokens from newer ones.
	tokenID string
	at      time.Time
}

// lockSubject locks and returns the user and the rights of a session's tokens.
func (s *Service) lockSubject(ctx context.Context, tx postgres.Tx, session Session) (subject, error) {
	if err := s.deps.Organizations.LockShared(ctx, tx, session.OrganizationID, session.UserID); err != nil {
		return subject{}, err
	}
	h := subject{tokenID: id.New(), at: s.deps.Clock.Now()}
	member, err := s.deps.Organizations.Member(ctx, tx, session.OrganizationID, session.UserID)
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return subject{}, fault.NotFound("organization")
	}
	if err != nil {
		return subject{}, err
	}
	if member.User.Disabled {
		return subject{}, identity.Unauthenticated()
	}
	h.user, h.permissions = member.User, member.Permissions
	// A provider of an organization must not give rights over the installation.
	operator := member.User.Operator && session.ClientID == "" && !identity.BoundToOrganization(session.Methods)
	h.roles = organization.TokenRoles(member.Roles, operator)
	return h, nil
}
