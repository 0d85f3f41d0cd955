package federation

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/config"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
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
	Admit(ctx context.Context, organizationID, userID string, shown ...string) (*authv1.TokenResponse, error)
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

// New returns the room.
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
	account, shown, err := s.account(ctx, p, profile)
	if fault.Is(err, faultv1.Reason_REASON_ALREADY_EXISTS) || fault.Is(err, faultv1.Reason_REASON_EMAIL_TAKEN) {
		account, shown, err = s.account(ctx, p, profile) // the identity was linked or the address signed up at the same time
	}
	if err != nil {
		return nil, err
	}
	return s.deps.Sessions.Admit(ctx, account.OrganizationID, account.UserID, shown...)
}

// account returns the account of a profile. It creates the account if there is none.
func (s *Service) account(ctx context.Context, p Provider, profile identityProfile) (account user.Account, shown []string, err error) {
	// A refusal is returned after the transaction, whose emails must be sent.
	var refusal error
	err = s.deps.Store.inTx(ctx, postgres.Scope{}, func(ctx context.Context, tx postgres.Tx) error {
		refusal, shown = nil, []string{identity.MethodFederated}
		known, found, err := s.deps.Store.identityUser(ctx, tx, p.ID, profile)
		switch {
		case err != nil:
			return err
		case found && p.owner != nil:
			var bound bool
			if account, bound, refusal, err = s.knownMember(ctx, tx, p, known, profile); bound {
				shown = append(shown, identity.MethodOrganization)
			}
		case found:
			account, err = s.knownAccount(ctx, tx, known, profile)
		case p.owner != nil:
			account, refusal, err = s.newMember(ctx, tx, p, profile)
		default:
			account, err = s.newAccount(ctx, tx, p, profile)
		}
		return err
	})
	if err == nil {
		err = refusal
	}
	return account, shown, err
}

// knownAccount returns the account of a known identity. It leaves the transaction in
// the user's scope.
func (s *Service) knownAccount(ctx context.Context, tx postgres.Tx, known Identity, profile identityProfile) (user.Account, error) {
	u, err := s.recordLogin(ctx, tx, known, profile)
	if err != nil {
		return user.Account{}, err
	}
	if s.deps.Addresses.Required() && !u.EmailVerified {
		return user.Account{}, refused(errors.New("federation: the address is not confirmed"))
	}
	home, err := s.deps.Users.HomeOrganization(ctx, tx, u.ID)
	return user.Account{UserID: u.ID, OrganizationID: home}, err
}

// recordLogin stores the login time of an identity and returns its user. It leaves the
// transaction in the user's scope.
func (s *Service) recordLogin(ctx context.Context, tx postgres.Tx, known Identity, profile identityProfile) (user.User, error) {
	if err := postgres.Enter(ctx, tx, postgres.Scope{UserID: known.UserID}); err != nil {
		return user.User{}, err
	}
	u, err := s.deps.Users.Get(ctx, tx, known.UserID)
	if err != nil {
		return u, err
	}
	if u.Disabled {
		return u, refused(errors.New("federation: the account is disabled"))
	}
	return u, s.deps.Store.recordLogin(ctx, tx, known.ID, profile.email, clock.Stamp(s.deps.Clock))
}

// newAccount returns the account of an unknown identity, with the identity linked. An
// existing account with the address belongs to another user, unless its address was
// never confirmed.
func (s *Service) newAccount(ctx context.Context, tx postgres.Tx, p Provider, profile identityProfile) (user.Account, error) {
	if profile.email == "" || !profile.verified {
		return user.Account{}, unverified()
	}
	account, err := s.deps.Users.TxForSignIn(ctx, tx, profile.email)
	switch {
	case err != nil:
	case account.UserID == "" && s.deps.SignUpClosed:
		err = fault.New(faultv1.Reason_REASON_SIGN_UP_CLOSED, "sign-up is closed: an invitation is required")
	case account.UserID == "":
		account, err = s.deps.Accounts.CreateConfirmed(ctx, tx, profile.email, "", profile.name)
	case account.Verified:
		err = notLinked()
	case account.Disabled:
		err = refused(errors.New("federation: the account is disabled"))
	default:
		err = s.deps.Addresses.TakeOver(ctx, tx, account)
	}
	if err != nil {
		return account, err
	}
	return account, s.linkAndUse(ctx, tx, p, account, profile)
}

// linkAndUse links an identity that is signing in.
func (s *Service) linkAndUse(ctx context.Context, tx postgres.Tx, p Provider, account user.Account, profile identityProfile) error {
	now := clock.Stamp(s.deps.Clock)
	_, err := s.link(ctx, tx, p, account, profile, &now)
	return err
}

// link adds an identity to an account, in a transaction in its user's scope, and
// informs the user.
func (s *Service) link(ctx context.Context, tx postgres.Tx, p Provider, account user.Account, profile identityProfile, used *time.Time) (Identity, error) {
	i := Identity{
		ID: id.New(), UserID: account.UserID, Provider: p.ID, Issuer: profile.issuer, Subject: profile.subject, Email: profile.email,
		CreateTime: clock.Stamp(s.deps.Clock), LastUsedTime: used,
	}
	scope := postgres.Scope{OrganizationID: account.OrganizationID, UserID: account.UserID}
	if err := postgres.Enter(ctx, tx, scope); err != nil {
		return i, err
	}
	if err := s.deps.Store.insert(ctx, tx, i); err != nil {
		return i, err
	}
	if err := s.record(ctx, tx, scope, i, "linked"); err != nil {
		return i, err
	}
	return i, s.notify(ctx, tx, account.UserID, mailAdded, p.mailName())
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, scope postgres.Scope, i Identity, verb string) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: scope.OrganizationID, ActorID: scope.UserID, Action: "auth.identity." + verb, ResourceType: "identity", ResourceID: i.ID,
		Changes: map[string]audit.Change{"provider": {After: i.Provider}},
	})
}

// notify queues an email to a user, in a transaction in the user's scope.
func (s *Service) notify(ctx context.Context, tx postgres.Tx, userID string, kind mailing.Kind, provider string) error {
	u, err := s.deps.Users.Get(ctx, tx, userID)
	if err != nil {
		return err
	}
	return s.deps.Mail.Enqueue(ctx, tx, mailing.Message{
		Kind: kind, Address: u.Email, Locale: u.Locale, Data: map[string]string{"provider": provider},
	})
}

// sweep deletes the attempts that were not finished in time.
func (s *Service) sweep(ctx context.Context) error {
	return s.deps.Store.deleteExpired(ctx, s.deps.Clock.Now())
}
