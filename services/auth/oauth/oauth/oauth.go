// Package oauth is the room of the OAuth 2.0 and OpenID Connect provider: it gives
// the clients of package oauthclient tokens by which they act for users who let
// them, or for their own organization.
//
// It is the narrow part that RFC 9700 leaves: authorization code with PKCE (S256,
// for every client), refresh and client credentials; no implicit and no password
// grant. Whatever can be used once is used up by one SQL statement (package
// migrations): a code or ticket that comes twice finds nothing. A code that comes
// back, as a refresh token does, has two holders, and ends the session that it
// opened.
//
// The endpoints and pages themselves are the gateway's.
package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/proto/catalog"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/credential/session"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/oauth/grant"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauthclient"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
	"github.com/gatehouse/gatehouse/services/auth/token/key"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
)

const (
	// CodeTTL is how long an authorization code can be exchanged.
	CodeTTL = time.Minute
	// ConsentTTL is how long a user may think about the question.
	ConsentTTL = 10 * time.Minute
)

// Deps is what the room needs; all of it.
type Deps struct {
	Store         *Store
	Clients       *oauthclient.Store
	Grants        *grant.Store
	Users         *user.Store
	Organizations *organization.Store
	Sessions      *session.Service
	Keys          *key.Ring
	Revocations   *revocation.Store
	Issuer        string
	Trail         *audit.Trail
	Clock         clock.Clock
}

// Service implements the RPCs of the provider.
type Service struct {
	authv1.UnsafeOAuthServiceServer

	deps     Deps
	verifier *identity.Verifier
	// scopes says in words what each scope allows.
	scopes map[string]string
}

// New returns the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("oauth", d); err != nil {
		return nil, err
	}
	verifier, err := identity.NewVerifier(identity.VerifierConfig{Issuer: d.Issuer, Service: "auth"}, d.Keys, d.Clock)
	if err != nil {
		return nil, err
	}
	return &Service{deps: d, verifier: verifier, scopes: describeScopes()}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterOAuthServiceServer(server, s)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "oauth_logins"}, {Name: "oauth_consents"}, {Name: "oauth_codes"}}
}

// Sweeps returns the periodic deletion of expired rows.
func (s *Service) Sweeps() []room.Sweep {
	return []room.Sweep{{Name: "delete expired authorization requests and codes", Do: s.sweep}}
}

func describeScopes() map[string]string {
	out := map[string]string{
		oauthclient.ScopeOpenID:        "Know that it is you.",
		oauthclient.ScopeProfile:       "See your name, language and organizations.",
		oauthclient.ScopeEmail:         "See your e-mail address.",
		oauthclient.ScopeOfflineAccess: "Stay allowed while you are away.",
	}
	for _, p := range catalog.Permissions() {
		out[p.GetName()] = p.GetDescription()
	}
	return out
}

// client returns the client of an id, or NOT_FOUND.
func (s *Service) client(ctx context.Context, clientID string) (oauthclient.Client, error) {
	if !id.Valid(clientID) {
		return oauthclient.Client{}, fault.NotFound("oauth_client")
	}
	return s.deps.Clients.ByID(ctx, clientID)
}

// authenticate returns the client that credentials are of. Whatever is wrong with
// them, the answer is OAUTH_INVALID_CLIENT.
func (s *Service) authenticate(ctx context.Context, credentials *authv1.ClientCredentials) (oauthclient.Client, error) {
	c, err := s.client(ctx, credentials.GetClientId())
	if err != nil && !fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return c, err
	}
	given := sha256.Sum256([]byte(credentials.GetClientSecret()))
	right := subtle.ConstantTimeCompare(given[:], c.SecretHash) == 1
	if err == nil && !c.Confidential() {
		right = credentials.GetClientSecret() == ""
	}
	if err != nil || !right {
		return c, invalidClient()
	}
	return c, nil
}

func invalidClient() error {
	return fault.New(faultv1.Reason_REASON_OAUTH_INVALID_CLIENT, "the client is unknown or its credentials are wrong")
}

// parseScopes reads a scope parameter. Without one it is all that the client is
// registered for (RFC 6749 section 3.3).
func parseScopes(parameter string, registered []string) ([]string, error) {
	asked := strings.Fields(parameter)
	if len(asked) == 0 {
		return registered, nil
	}
	slices.Sort(asked)
	asked = slices.Compact(asked)
	for _, scope := range asked {
		if !slices.Contains(registered, scope) {
			return nil, fault.New(faultv1.Reason_REASON_OAUTH_INVALID_SCOPE, "%q is no scope that may be asked for here", scope)
		}
	}
	return asked, nil
}

// addParameters adds parameters that have a value to a redirect URI, beside those that it
// has.
func addParameters(redirectURI string, parameters map[string]string) (string, error) {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return "", fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the redirect URI cannot be read")
	}
	query := u.Query()
	for name, value := range parameters {
		if value != "" {
			query.Set(name, value)
		}
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// destination is the origin of a registered URI, or the scheme of a program's own.
func destination(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "":
		return ""
	case u.Scheme == "http" || u.Scheme == "https":
		return u.Scheme + "://" + u.Host
	default:
		return u.Scheme + ":"
	}
}

func invalidRequest(detail string) error {
	return fault.New(faultv1.Reason_REASON_OAUTH_INVALID_REQUEST, "%s", detail)
}

func invalidGrant() error {
	return fault.New(faultv1.Reason_REASON_OAUTH_INVALID_GRANT,
		"the code or token is wrong, was used, has expired, is another client's, or does not fit its verifier or redirect URI")
}

// sweep removes the questions and codes that are over.
func (s *Service) sweep(ctx context.Context) error {
	return s.deps.Store.deleteExpired(ctx, s.deps.Clock.Now())
}
