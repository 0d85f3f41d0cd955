// Package identity identifies callers: the user of an access token, and the service of a
// service token.
//
// Both are JWTs that the auth service signs with Ed25519. Each receiver verifies them
// offline ([Verifier]), with keys from auth's JWKS ([Keys]). Their type headers differ,
// so that neither is accepted as the other: an access token is at+jwt (RFC 9068), a
// service token is svc+jwt with the called service as audience.
//
// The verified caller is a value of the context ([FromContext], [ServiceFromContext]).
// Other parts of a request never identify the caller, because a client can set any
// header.
package identity

import (
	"context"
	"slices"
	"time"
)

// Principal is the user that a request acts for.
type Principal struct {
	// UserID is the subject of the token.
	UserID string
	// ServiceAccount reports whether the user is a service account of the organization
	// and not a person.
	ServiceAccount bool
	// OrganizationID is the organization that the token acts in.
	OrganizationID string
	// SessionID is the session that the token belongs to.
	SessionID string
	// ClientID is the OAuth client of the token, or "gatehouse" for a first-party
	// sign-in.
	ClientID string
	// Roles are the user's roles in the organization, custom ones by their ids,
	// and "operator".
	Roles []string
	// Permissions are the permissions of the custom roles among Roles.
	Permissions []string
	// Scopes are the permissions that an OAuth client or an API key may use for the
	// user. A first-party sign-in has no scopes and is not limited by them.
	Scopes []string
	// AuthTime is when the user last authenticated.
	AuthTime time.Time
	// Methods are the methods of the sign-in (MethodPassword, …).
	Methods []string
	// IssueTime is when the token was issued.
	IssueTime time.Time
	// Token is the access token itself, to be forwarded to other services.
	Token string
	// Resource is the id of the one resource that a ticket opens. It is empty for any
	// other credential.
	Resource string
}

// FirstParty reports whether the user is signed in, and the caller is not an OAuth client
// or an API key.
func (p *Principal) FirstParty() bool { return p.ClientID == FirstParty }

// Delegated reports whether the caller is an OAuth client, for a user or for itself.
func (p *Principal) Delegated() bool { return p.ClientID != FirstParty && p.ClientID != APIKey }

// HasRole reports whether the principal has a role.
func (p *Principal) HasRole(role string) bool { return slices.Contains(p.Roles, role) }

// Service is a service that calls another.
type Service struct {
	// Name is gateway, management or chat.
	Name string
}

type (
	principalKey struct{}
	serviceKey   struct{}
)

// NewContext returns a context that carries the principal.
func NewContext(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// FromContext returns the principal of a request.
func FromContext(ctx context.Context) (*Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(*Principal)
	return p, ok
}

// Require returns the principal of a request, or UNAUTHENTICATED when there is none.
func Require(ctx context.Context) (*Principal, error) {
	p, ok := FromContext(ctx)
	if !ok {
		return nil, Unauthenticated()
	}
	return p, nil
}

// NewServiceContext returns a context that carries the calling service.
func NewServiceContext(ctx context.Context, s *Service) context.Context {
	return context.WithValue(ctx, serviceKey{}, s)
}

// ServiceFromContext returns the calling service of a request.
func ServiceFromContext(ctx context.Context) (*Service, bool) {
	s, ok := ctx.Value(serviceKey{}).(*Service)
	return s, ok
}

// Origin is the origin of a request, for logs and the audit trail.
type Origin struct {
	// RequestID finds the request in the logs of every service.
	RequestID string
	// IPAddress is the client's address, as the gateway saw it.
	IPAddress string
	// UserAgent is the User-Agent that the client sends.
	UserAgent string
}

type originKey struct{}

// NewOriginContext returns a context that carries the origin.
func NewOriginContext(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginFromContext returns the origin of a request, or the zero Origin when ctx does not
// belong to a request.
func OriginFromContext(ctx context.Context) Origin {
	o, _ := ctx.Value(originKey{}).(Origin)
	return o
}
