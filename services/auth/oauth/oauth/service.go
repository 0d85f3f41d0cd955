package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
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

// Deps is what the room needs.
type Deps struct {
	DB            *postgres.DB
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

// Service implements the RPCs of the OAuth provider.
type Service struct {
	authv1.UnsafeOAuthServiceServer

	deps     Deps
	store    *store
	verifier *identity.Verifier
	// scopes describes each scope for users.
	scopes map[string]string
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("oauth", d); err != nil {
		return nil, err
	}
	verifier, err := identity.NewVerifier(identity.VerifierConfig{Issuer: d.Issuer, Service: "auth"}, d.Keys, d.Clock)
	if err != nil {
		return nil, err
	}
	return &Service{deps: d, store: newStore(d.DB), verifier: verifier, scopes: describeScopes()}, nil
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

// sweep deletes the expired consent requests and codes.
func (s *Service) sweep(ctx context.Context) error {
	return s.store.deleteExpired(ctx, s.deps.Clock.Now())
}

// client returns the client with an id, or NOT_FOUND.
func (s *Service) client(ctx context.Context, clientID string) (oauthclient.Client, error) {
	if !id.Valid(clientID) {
		return oauthclient.Client{}, fault.NotFound("oauth_client")
	}
	return s.deps.Clients.ByID(ctx, clientID)
}

// authenticate returns the client with these credentials. Any wrong credential is
// OAUTH_INVALID_CLIENT.
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
