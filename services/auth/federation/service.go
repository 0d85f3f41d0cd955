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

// The letters that tell a user, who may not have been the one.
const (
	mailAdded   mailing.Kind = "identity_added"
	mailRemoved mailing.Kind = "identity_removed"
)

// Sessions opens sessions.
type Sessions interface {
	// Admit answers the tokens of a new session, or the challenge of the second factor.
	Admit(ctx context.Context, organizationID, userID string, shown ...string) (*authv1.TokenResponse, error)
}

// Accounts makes accounts.
type Accounts interface {
	// CreateConfirmed makes the account of somebody whose address is known to be theirs, in a
	// transaction that it makes the new user's.
	CreateConfirmed(ctx context.Context, tx postgres.Tx, email, passwordHash, displayName string) (user.Account, error)
	// CreateUnconfirmed makes the account of somebody who is said to have an address, in a
	// transaction that it makes the new user's.
	CreateUnconfirmed(ctx context.Context, tx postgres.Tx, email, displayName string) (user.Account, error)
}

// Addresses knows who has shown that an address is theirs.
type Addresses interface {
	// Required tells whether users must, to sign in.
	Required() bool
	// TakeOver gives an account that nobody has confirmed to whoever has shown that its
	// address is theirs, in a transaction that it makes that user's.
	TakeOver(ctx context.Context, tx postgres.Tx, account user.Account) error
	// SendConfirmation writes to somebody who is to confirm the address.
	SendConfirmation(ctx context.Context, tx postgres.Tx, u user.User) error
}

// Mail takes letters in the transaction of what causes them.
type Mail interface {
	// Enqueue has a letter sent when the transaction commits.
	Enqueue(ctx context.Context, tx postgres.Tx, l mailing.Message) error
}

// Deps is what the room needs; all of it, except where it says so.
type Deps struct {
	Store         *Store
	Users         *user.Store
	Organizations *organization.Store
	Rights        *organization.Rights
	Sessions      Sessions
	Accounts      Accounts
	// Addresses is the room of addresses.
	Addresses Addresses
	// Enrolled lists the second factors of a user.
	Enrolled func(ctx context.Context, userID string) ([]string, error)
	Mail     Mail
	// Providers are those of the installation; there may be none.
	Providers []Provider `deps:"optional"`
	// Redirects are where else than to the gateway users may be sent back to; there may
	// be none.
	Redirects []string `deps:"optional"`
	// PublicURL is where the gateway is.
	PublicURL string
	// EgressAllow is where organizations' issuers may be beside the public internet; it
	// may be nowhere.
	EgressAllow []netip.Prefix `deps:"optional"`
	// SignUpClosed says that the installation's own providers bring nobody new; those
	// of organizations do.
	SignUpClosed bool
	// SecretKey is the installation's, of 32 bytes.
	SecretKey []byte
	Trail     *audit.Trail
	Clock     clock.Clock
}

// Service implements the RPCs of sign-in by providers, of linking them, and of those
// that organizations name.
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

// Providers lists the installation's providers, for pages to offer.
func (s *Service) Providers() []Provider { return slices.Clone(s.deps.Providers) }

// provider returns a provider by its id, or NOT_FOUND: the installation's, or an
// organization's.
func (s *Service) provider(ctx context.Context, providerID string) (Provider, error) {
	if i := slices.IndexFunc(s.deps.Providers, func(p Provider) bool { return p.ID == providerID }); i >= 0 {
		return s.deps.Providers[i], nil
	}
	if !id.Valid(providerID) {
		return Provider{}, fault.NotFound(kindProvider)
	}
	owner, err := s.deps.Store.organizationProvider(ctx, providerID)
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

// callback is the gateway's own address to come back to.
func (s *Service) callback(providerID string) string {
	return strings.TrimRight(s.deps.PublicURL, "/") + "/v1/auth/providers/" + providerID + "/callback"
}

// BeginProviderSignIn implements the RPC.
func (s *Service) BeginProviderSignIn(ctx context.Context, req *authv1.BeginProviderSignInRequest) (*authv1.ProviderAttempt, error) {
	return s.begin(ctx, req.GetProvider(), req.GetReturnTo(), attempt{redirectURI: req.GetRedirectUri()})
}

// FinishProviderSignIn implements the RPC.
func (s *Service) FinishProviderSignIn(ctx context.Context, req *authv1.FinishProviderSignInRequest) (*authv1.TokenResponse, error) {
	p, _, who, err := s.finish(ctx, req, false)
	if err != nil {
		return nil, err
	}
	account, shown, err := s.account(ctx, p, who)
	if fault.Is(err, faultv1.Reason_REASON_ALREADY_EXISTS) || fault.Is(err, faultv1.Reason_REASON_EMAIL_TAKEN) {
		account, shown, err = s.account(ctx, p, who) // the identity was linked, or its address signed up, at the same time
	}
	if err != nil {
		return nil, err
	}
	return s.deps.Sessions.Admit(ctx, account.OrganizationID, account.UserID, shown...)
}

// account returns the account of whoever a provider tells of, which it makes where
// there is none.
func (s *Service) account(ctx context.Context, p Provider, who profile) (account user.Account, shown []string, err error) {
	// Carried past the transaction, whose letters are to leave.
	var refusal error
	err = s.deps.Store.inTx(ctx, postgres.Scope{}, func(ctx context.Context, tx postgres.Tx) error {
		refusal, shown = nil, []string{identity.MethodFederated}
		known, found, err := s.deps.Store.identityUser(ctx, tx, p.ID, who)
		switch {
		case err != nil:
			return err
		case found && p.owner != nil:
			var bound bool
			if account, bound, refusal, err = s.knownMember(ctx, tx, p, known, who); bound {
				shown = append(shown, identity.MethodOrganization)
			}
		case found:
			account, err = s.knownAccount(ctx, tx, known, who)
		case p.owner != nil:
			account, refusal, err = s.newMember(ctx, tx, p, who)
		default:
			account, err = s.newAccount(ctx, tx, p, who)
		}
		return err
	})
	if err == nil {
		err = refusal
	}
	return account, shown, err
}

// knownAccount is the account of an identity that is known, in a transaction that it
// makes its user's.
func (s *Service) knownAccount(ctx context.Context, tx postgres.Tx, known Identity, who profile) (user.Account, error) {
	u, err := s.recordLogin(ctx, tx, known, who)
	if err != nil {
		return user.Account{}, err
	}
	if s.deps.Addresses.Required() && !u.EmailVerified {
		return user.Account{}, refused(errors.New("federation: the address is not confirmed"))
	}
	home, err := s.deps.Users.HomeOrganization(ctx, tx, u.ID)
	return user.Account{UserID: u.ID, OrganizationID: home}, err
}

// recordLogin notes that an identity came, and returns its user, whose the transaction is then.
func (s *Service) recordLogin(ctx context.Context, tx postgres.Tx, known Identity, who profile) (user.User, error) {
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
	return u, s.deps.Store.recordLogin(ctx, tx, known.ID, who.email, clock.Stamp(s.deps.Clock))
}

// newAccount is the account of somebody who is not known, with the identity linked. An
// account that has the address is another's, unless nobody ever showed that it is
// theirs.
func (s *Service) newAccount(ctx context.Context, tx postgres.Tx, p Provider, who profile) (user.Account, error) {
	if who.email == "" || !who.verified {
		return user.Account{}, unverified()
	}
	account, err := s.deps.Users.TxForSignIn(ctx, tx, who.email)
	switch {
	case err != nil:
	case account.UserID == "" && s.deps.SignUpClosed:
		err = fault.New(faultv1.Reason_REASON_SIGN_UP_CLOSED, "sign-up is closed: it takes an invitation")
	case account.UserID == "":
		account, err = s.deps.Accounts.CreateConfirmed(ctx, tx, who.email, "", who.name)
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
	return account, s.linkNow(ctx, tx, p, account, who)
}

// linkNow links an identity that signs in with it.
func (s *Service) linkNow(ctx context.Context, tx postgres.Tx, p Provider, account user.Account, who profile) error {
	now := clock.Stamp(s.deps.Clock)
	_, err := s.link(ctx, tx, p, account, who, &now)
	return err
}

// link adds an identity to an account, in a transaction of its user, and tells the
// user.
func (s *Service) link(ctx context.Context, tx postgres.Tx, p Provider, account user.Account, who profile, used *time.Time) (Identity, error) {
	i := Identity{
		ID: id.New(), UserID: account.UserID, Provider: p.ID, Issuer: who.issuer, Subject: who.subject, Email: who.email,
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

// notify writes a letter to a user, in a transaction of that user.
func (s *Service) notify(ctx context.Context, tx postgres.Tx, userID string, kind mailing.Kind, provider string) error {
	u, err := s.deps.Users.Get(ctx, tx, userID)
	if err != nil {
		return err
	}
	return s.deps.Mail.Enqueue(ctx, tx, mailing.Message{
		Kind: kind, Address: u.Email, Locale: u.Locale, Data: map[string]string{"provider": provider},
	})
}

// sweep removes the attempts from which nobody came back in time.
func (s *Service) sweep(ctx context.Context) error {
	return s.deps.Store.deleteExpired(ctx, s.deps.Clock.Now())
}
