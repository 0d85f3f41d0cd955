// Package identity knows who calls: the user behind an access token, and the
// service behind a service token.
//
// Both are JWTs signed by the auth service with Ed25519 and verified offline
// by whoever receives them ([Verifier]), with keys from auth's JWKS ([Keys]).
// They differ by their type header, so that neither passes as the other: an
// access token is at+jwt (RFC 9068), a service token svc+jwt with the callee
// as audience.
//
// A verified caller travels in the context ([FromContext],
// [ServiceFromContext]). Nothing else of a request says who calls: headers
// that a client could set are never believed.
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
	// ServiceAccount says that the user is no person but a program of the
	// organization.
	ServiceAccount bool
	// OrganizationID is the organization that the token acts in.
	OrganizationID string
	// SessionID is the session that the token belongs to.
	SessionID string
	// ClientID is the OAuth client that holds the token, "gatehouse" for a
	// first-party sign-in.
	ClientID string
	// Roles are the user's roles in the organization, custom ones by their ids,
	// and "operator".
	Roles []string
	// Permissions are those that the custom ones among the roles give.
	Permissions []string
	// Scopes are the permissions that a client other than the first party may use
	// in the user's name. A first-party sign-in has none, and is not bound by any.
	Scopes []string
	// AuthTime is when the user last showed a credential.
	AuthTime time.Time
	// Methods are what the user showed to sign in (MethodPassword, …).
	Methods []string
	// IssueTime is when the token was issued.
	IssueTime time.Time
	// Token is the access token itself, to be forwarded to other services.
	Token string
	// Resource is the id of the one resource that a ticket opens. It is empty for any
	// other credential.
	Resource string
}

// FirstParty tells whether the user itself is signed in, rather than a client
// or a key that acts for it.
func (p *Principal) FirstParty() bool { return p.ClientID == FirstParty }

// Delegated tells whether an OAuth client acts, for a user or for itself.
func (p *Principal) Delegated() bool { return p.ClientID != FirstParty && p.ClientID != APIKey }

// HasRole tells whether the principal holds a role.
func (p *Principal) HasRole(role string) bool { return slices.Contains(p.Roles, role) }

// Service is a service of the suite that calls another.
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

// Require returns the principal of a request, or UNAUTHENTICATED where there is
// none.
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

// Origin is where a request came from, for logs and the audit trail.
type Origin struct {
	// RequestID finds the request in the logs of every service.
	RequestID string
	// IPAddress is the client's address, as the gateway saw it.
	IPAddress string
	// UserAgent is what the client says it is.
	UserAgent string
}

type originKey struct{}

// NewOriginContext returns a context that carries the origin.
func NewOriginContext(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginFromContext returns the origin of a request; the zero Origin outside
// of one.
func OriginFromContext(ctx context.Context) Origin {
	o, _ := ctx.Value(originKey{}).(Origin)
	return o
}
