package federation

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/config"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
	"github.com/gatehouse/gatehouse/services/auth/token/key"
)

// The emails that inform a user, because somebody else may have made the change.
const (
	mailAdded   mailing.Kind = "identity_added"
	mailRemoved mailing.Kind = "identity_removed"
)

// Sessions opens sessions.
type Sessions interface {
	// Admit returns the tokens of a new session, or the challenge of the second factor.
	Admit(ctx context.Context, organizationID, userID string, methods ...string) (*authv1.TokenResponse, error)
}

// Accounts creates accounts.
type Accounts interface {
	// CreateConfirmed creates the account of a user whose address is confirmed. It
	// leaves the transaction in the new user's scope.
	CreateConfirmed(ctx context.Context, tx postgres.Tx, email, passwordHash, displayName string) (user.Account, error)
	// CreateUnconfirmed creates the account of a user whose address is unconfirmed. It
	// leaves the transaction in the new user's scope.
	CreateUnconfirmed(ctx context.Context, tx postgres.Tx, email, displayName string) (user.Account, error)
}

// Addresses is the room of addresses.
type Addresses interface {
	// Required reports whether an address must be confirmed before its user can sign
	// in.
	Required() bool
	// TakeOver gives an unconfirmed account to the user who has proved to own its
	// address. It leaves the transaction in that user's scope.
	TakeOver(ctx context.Context, tx postgres.Tx, account user.Account) error
	// SendConfirmation queues the email with which a user confirms the address.
	SendConfirmation(ctx context.Context, tx postgres.Tx, u user.User) error
}

// Mail queues emails.
type Mail interface {
	// Enqueue queues an email in the caller's transaction.
	Enqueue(ctx context.Context, tx postgres.Tx, l mailing.Message) error
}

// Deps is what the room needs.
type Deps struct {
	Store         *Store
	Users         *user.Store
	Organizations *organization.Store
	Rights        *organization.Rights
	Sessions      Sessions
	Accounts      Accounts
	Addresses     Addresses
	// Enrolled returns the second factors of a user.
	Enrolled func(ctx context.Context, userID string) ([]string, error)
	Mail     Mail
	// Providers are the providers of the installation.
	Providers []Provider `deps:"optional"`
	// Redirects are the addresses, beside the gateway, to which users may be sent back.
	Redirects []string `deps:"optional"`
	// PublicURL is the address of the gateway.
	PublicURL string
	// EgressAllow lists the networks, beside the public internet, in which the issuers
	// of organizations may be.
	EgressAllow []netip.Prefix `deps:"optional"`
	// SignUpClosed reports whether the installation's providers may not create
	// accounts. The providers of organizations may.
	SignUpClosed bool
	// SecretKey is the installation's secret of 32 bytes.
	SecretKey []byte
	Trail     *audit.Trail
	Clock     clock.Clock
}

// Service implements the RPCs of sign-in with providers, of linking identities, and of
// the providers of organizations.
type Service struct {
	authv1.UnsafeProviderServiceServer
	authv1.UnsafeIdentityServiceServer
	authv1.UnsafeIdentityProviderServiceServer

	deps        Deps
	connections *connections
	box         *key.Box
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("federation", d); err != nil {
		return nil, err
	}
	connections, err := newConnections(d.Clock, d.EgressAllow)
	if err != nil {
		return nil, err
	}
	box, err := key.NewBox(d.SecretKey, sealing)
	if err != nil {
		return nil, err
	}
	return &Service{deps: d, connections: connections, box: box}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterProviderServiceServer(server, s)
	authv1.RegisterIdentityServiceServer(server, s)
	authv1.RegisterIdentityProviderServiceServer(server, s)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "identities"}, {Name: "identity_providers"}, {Name: "provider_attempts"}}
}

// Sweeps returns the periodic deletion of expired rows.
func (s *Service) Sweeps() []room.Sweep {
	return []room.Sweep{{Name: "delete expired sign-ins at providers", Do: s.sweep}}
}

// Providers returns the installation's providers.
func (s *Service) Providers() []Provider { return slices.Clone(s.deps.Providers) }

// provider returns a provider of the installation or of an organization by its id, or
// NOT_FOUND.
func (s *Service) provider(ctx context.Context, providerID string) (Provider, error) {
	if i := slices.IndexFunc(s.deps.Providers, func(p Provider) bool { return p.ID == providerID }); i >= 0 {
		return s.deps.Providers[i], nil
	}
	if !id.Valid(providerID) {
		return Provider{}, fault.NotFound(kindProvider)
	}
	owner, err := s.deps.Store.anyProvider(ctx, providerID)
	if err != nil {
		return Provider{}, err
	}
	secret, err := s.box.Open(owner.sealed, owner.ID)
	if err != nil {
		return Provider{}, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the identity provider cannot be read")
	}
	return Provider{
		ID: owner.ID, DisplayName: owner.DisplayName, Kind: OpenID, Issuer: owner.Issuer, ClientID: owner.ClientID,
		ClientSecret: config.NewSecret(string(secret)), owner: &owner,
	}, nil
}

// callback returns the gateway's own address for the callback of a provider.
func (s *Service) callback(providerID string) string {
	return strings.TrimRight(s.deps.PublicURL, "/") + "/v1/auth/providers/" + providerID + "/callback"
}

// BeginProviderSignIn implements the RPC.
func (s *Service) BeginProviderSignIn(ctx context.Context, req *authv1.BeginProviderSignInRequest) (*authv1.ProviderAttempt, error) {
	return s.begin(ctx, req.GetProvider(), req.GetReturnTo(), attempt{redirectURI: req.GetRedirectUri()})
}

// FinishProviderSignIn implements the RPC.
func (s *Service) FinishProviderSignIn(ctx context.Context, req *authv1.FinishProviderSignInRequest) (*authv1.TokenResponse, error) {
	p, _, profile, err := s.finish(ctx, req, false)
	if err != nil {
		return nil, err
	}
	account, methods, err := s.account(ctx, p, profile)
	if fault.Is(err, faultv1.Reason_REASON_ALREADY_EXISTS) || fault.Is(err, faultv1.Reason_REASON_EMAIL_TAKEN) {
		account, methods, err = s.account(ctx, p, profile) // the identity was linked or the address signed up at the same time
	}
	if err != nil {
		return nil, err
	}
	return s.deps.Sessions.Admit(ctx, account.OrganizationID, account.UserID, methods...)
}

// sweep deletes the attempts that were not finished in time.
func (s *Service) sweep(ctx context.Context) error {
	return s.deps.Store.deleteExpired(ctx, s.deps.Clock.Now())
}
