package auth

import (
	"github.com/gatehouse/gatehouse/platform/idempotency"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/services/auth/config"
	"github.com/gatehouse/gatehouse/services/auth/credential/apikey"
	"github.com/gatehouse/gatehouse/services/auth/credential/factor"
	"github.com/gatehouse/gatehouse/services/auth/credential/publishablekey"
	"github.com/gatehouse/gatehouse/services/auth/credential/session"
	"github.com/gatehouse/gatehouse/services/auth/credential/usersession"
	"github.com/gatehouse/gatehouse/services/auth/erasure"
	"github.com/gatehouse/gatehouse/services/auth/federation"
	"github.com/gatehouse/gatehouse/services/auth/identity/account"
	"github.com/gatehouse/gatehouse/services/auth/identity/email"
	"github.com/gatehouse/gatehouse/services/auth/identity/useradmin"
	"github.com/gatehouse/gatehouse/services/auth/identity/userdirectory"
	"github.com/gatehouse/gatehouse/services/auth/oauth/grant"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauth"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauthclient"
	"github.com/gatehouse/gatehouse/services/auth/outbox"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/invitation"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/role"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/serviceaccount"
	"github.com/gatehouse/gatehouse/services/auth/token/key"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
	"github.com/gatehouse/gatehouse/services/auth/token/servicetoken"
)

// wire builds the rooms. Each function below returns the rooms of one group, and takes
// the groups that it needs: one that is called too early does not compile.
func wire(cfg Config, d Deps) (*Service, error) {
	b, err := newBase(cfg, d)
	if err != nil {
		return nil, err
	}
	answers, err := idempotency.New(d.DB, cfg.SecretKey, d.Clock)
	if err != nil {
		return nil, err
	}
	tokens, err := wireTokens(b)
	if err != nil {
		return nil, err
	}
	credentials, err := wireCredentials(b)
	if err != nil {
		return nil, err
	}
	tenancy, err := wireTenancy(b, credentials)
	if err != nil {
		return nil, err
	}
	identities, err := wireIdentity(b, credentials, tenancy)
	if err != nil {
		return nil, err
	}
	provider, err := wireOAuth(b, credentials)
	if err != nil {
		return nil, err
	}
	federated, err := wireFederation(b, credentials)
	if err != nil {
		return nil, err
	}
	own, err := wireInstallation(b, credentials, federated)
	if err != nil {
		return nil, err
	}
	rooms := room.List{b.mail, federated}
	for _, group := range []room.List{tokens, credentials.list(), tenancy.list(), identities, provider, own} {
		rooms = append(rooms, group...)
	}
	return &Service{
		cfg: cfg, clock: d.Clock, log: d.Log, rooms: rooms, answers: answers, ring: b.ring, mail: b.mail,
		accounts: b.accounts, users: b.users, factors: b.factors, apiKeys: b.apiKeys, revocations: b.revocations,
		access: newAccess(b, credentials, tenancy), trail: b.trail,
	}, nil
}

func newAccess(b base, c credentials, t tenancy) access {
	return access{organizations: t.organizations, sessions: c.userSessions, revocations: b.revocations}
}

// wireTokens builds the rooms of keys and tokens.
func wireTokens(b base) (room.List, error) {
	keys, err := key.New(key.Deps{Ring: b.ring, Log: b.Log, Clock: b.Clock})
	if err != nil {
		return nil, err
	}
	revocations, err := revocation.New(revocation.Deps{Store: b.revocations})
	if err != nil {
		return nil, err
	}
	serviceTokens, err := servicetoken.New(servicetoken.Deps{Keys: b.ring, Issuer: b.cfg.Issuer, SecretKey: b.cfg.SecretKey, Clock: b.Clock})
	if err != nil {
		return nil, err
	}
	return room.List{keys, revocations, serviceTokens}, nil
}

// credentials are the rooms of credentials, and those of emails and invitations, on which
// sign-up depends.
type credentials struct {
	apiKeys         *apikey.Service
	publishableKeys *publishablekey.Service
	userSessions    *usersession.Service
	factors         *factor.Service
	emails          *email.Service
	invitations     *invitation.Service
	sessions        *session.Service
}

func (c credentials) list() room.List {
	return room.List{c.apiKeys, c.publishableKeys, c.userSessions, c.factors, c.emails, c.invitations, c.sessions}
}

func wireCredentials(b base) (credentials, error) {
	apiKeys, err := apikey.New(apikey.Deps{Store: b.apiKeys, Authorizer: b.Authorizer, Revocations: b.revocations, Trail: b.trail})
	if err != nil {
		return credentials{}, err
	}
	publishableKeys, err := publishablekey.New(publishablekey.Deps{
		DB: b.DB, Tokens: b.tokens, Trail: b.trail, Clock: b.Clock,
	})
	if err != nil {
		return credentials{}, err
	}
	userSessions, err := usersession.New(usersession.Deps{
		DB: b.DB, Tokens: b.tokens, Revocations: b.revocations, Trail: b.trail, Clock: b.Clock,
	})
	if err != nil {
		return credentials{}, err
	}
	factors, err := factor.New(factor.Deps{
		Store: b.factors, Users: b.users, Sessions: userSessions, Mail: b.mail, SecretKey: b.cfg.SecretKey, PublicURL: b.cfg.Issuer,
		Trail: b.trail, Clock: b.Clock,
	})
	if err != nil {
		return credentials{}, err
	}
	emails, err := email.New(email.Deps{
		DB: b.DB, Users: b.users, Accounts: b.accounts, Hasher: b.hasher, Passwords: b.passwords, Sessions: userSessions,
		DeleteKeys: apiKeys.DeleteAll, DeleteFactors: b.factors.DeleteAll, DeleteIdentities: b.identities.DeleteAll, Enrolled: factors.Methods,
		Mail: b.mail, SecretKey: b.cfg.SecretKey, PublicURL: b.cfg.Issuer, Required: b.cfg.VerifiedEmail, Trail: b.trail, Clock: b.Clock,
	})
	if err != nil {
		return credentials{}, err
	}
	invitations, err := invitation.New(invitation.Deps{
		DB: b.DB, Tokens: b.tokens, Users: b.users, Organizations: b.organizations, Rights: b.rights, Mail: b.mail,
		PerDay: b.cfg.invitationsPerDay(), PublicURL: b.cfg.Issuer, Trail: b.trail, Clock: b.Clock,
	})
	if err != nil {
		return credentials{}, err
	}
	var invited session.Invited // nil lets anyone sign up
	if b.cfg.SignUpClosed {
		invited = invitations.Pending
	}
	sessions, err := session.New(session.Deps{
		Store: b.sessions, Users: b.users, Organizations: b.organizations, Accounts: b.accounts, Passwords: b.passwords, Throttle: b.throttle,
		Factors: factors, Passkeys: factors.Passkeys(), Invited: invited, Mail: b.mail, Addresses: emails, Keys: b.ring, Issuer: b.cfg.Issuer,
		Revocations: b.revocations, Trail: b.trail, Clock: b.Clock,
	})
	if err != nil {
		return credentials{}, err
	}
	return credentials{apiKeys, publishableKeys, userSessions, factors, emails, invitations, sessions}, nil
}

// tenancy are the rooms of organizations and their members.
type tenancy struct {
	organizations   *organization.Service
	roles           *role.Service
	serviceAccounts *serviceaccount.Service
}

func (t tenancy) list() room.List { return room.List{t.organizations, t.roles, t.serviceAccounts} }

func wireTenancy(b base, c credentials) (tenancy, error) {
	organizations, err := organization.New(organization.Deps{
		Store: b.organizations, Rights: b.rights, Revocations: b.revocations, Withdraw: c.invitations.Withdraw, Fresh: c.factors.RequireFresh,
		Trail: b.trail, Clock: b.Clock,
	})
	if err != nil {
		return tenancy{}, err
	}
	roles, err := role.New(role.Deps{
		DB: b.DB, Tokens: b.tokens, Rights: b.rights, Authorizer: b.Authorizer, Revocations: b.revocations,
		Withdraw: c.invitations.Withdraw, Trail: b.trail, Clock: b.Clock,
	})
	if err != nil {
		return tenancy{}, err
	}
	serviceAccounts, err := serviceaccount.New(serviceaccount.Deps{
		DB: b.DB, Tokens: b.tokens, Organizations: b.organizations, Rights: b.rights, Keys: c.apiKeys, Revocations: b.revocations,
		Withdraw: c.invitations.Withdraw, Trail: b.trail, Clock: b.Clock,
	})
	if err != nil {
		return tenancy{}, err
	}
	return tenancy{organizations, roles, serviceAccounts}, nil
}

// wireIdentity builds the rooms of users, and that of the feed of deleted ones.
func wireIdentity(b base, c credentials, t tenancy) (room.List, error) {
	accounts, err := account.New(account.Deps{
		DB: b.DB, Users: b.users, Hasher: b.hasher, Passwords: b.passwords, Sessions: c.userSessions,
		Mail: b.mail, Authorizer: b.Authorizer, Trail: b.trail, Clock: b.Clock,
		Deletion: account.Deletion{
			RequireFresh: c.factors.RequireFresh, LeaveOrganizations: t.organizations.LeaveAll, DeleteKeys: c.apiKeys.DeleteAll,
			DeleteFactors: b.factors.DeleteAll, RevokeTokens: b.revocations.RevokeUser, EraseElsewhere: b.erasures.AddUser,
		},
	})
	if err != nil {
		return nil, err
	}
	userAdmin, err := useradmin.New(useradmin.Deps{
		DB: b.DB, Tokens: b.tokens, Users: b.users, Trail: b.trail, Clock: b.Clock,
		Accounts: useradmin.Accounts{Create: b.accounts.CreateByOperator, Delete: accounts.Delete, Disable: newAccess(b, c, t).end},
	})
	if err != nil {
		return nil, err
	}
	userDirectory, err := userdirectory.New(userdirectory.Deps{
		DB: b.DB, Organizations: b.organizations, Rights: b.rights,
	})
	if err != nil {
		return nil, err
	}
	erasures, err := erasure.New(erasure.Deps{Store: b.erasures})
	if err != nil {
		return nil, err
	}
	return room.List{accounts, userAdmin, userDirectory, erasures}, nil
}

// wireOAuth builds the rooms of the OAuth provider.
func wireOAuth(b base, c credentials) (room.List, error) {
	clientStore, grantStore := oauthclient.NewStore(b.DB, b.tokens), grant.NewStore(b.DB, b.tokens)
	clients, err := oauthclient.New(oauthclient.Deps{
		Store: clientStore, Authorizer: b.Authorizer, Revocations: b.revocations, Trail: b.trail, Clock: b.Clock,
	})
	if err != nil {
		return nil, err
	}
	grants, err := grant.New(grant.Deps{Store: grantStore, Revocations: b.revocations, Trail: b.trail, Clock: b.Clock})
	if err != nil {
		return nil, err
	}
	provider, err := oauth.New(oauth.Deps{
		DB: b.DB, Clients: clientStore, Grants: grantStore, Users: b.users, Organizations: b.organizations,
		Sessions: c.sessions, Keys: b.ring, Revocations: b.revocations, Issuer: b.cfg.Issuer, Trail: b.trail, Clock: b.Clock,
	})
	if err != nil {
		return nil, err
	}
	return room.List{clients, grants, provider}, nil
}

// wireFederation builds the room of sign-in with identity providers.
func wireFederation(b base, c credentials) (*federation.Service, error) {
	return federation.New(federation.Deps{
		Store: b.identities, Users: b.users, Organizations: b.organizations, Rights: b.rights, Sessions: c.sessions, Accounts: b.accounts,
		Addresses: c.emails, Enrolled: c.factors.Methods, Mail: b.mail, Providers: b.cfg.Providers, Redirects: b.cfg.Redirects,
		PublicURL: b.cfg.Issuer, EgressAllow: b.cfg.EgressAllow, SignUpClosed: b.cfg.SignUpClosed, SecretKey: b.cfg.SecretKey,
		Trail: b.trail, Clock: b.Clock,
	})
}

// wireInstallation builds the rooms that describe the installation.
func wireInstallation(b base, c credentials, f *federation.Service) (room.List, error) {
	capabilities := config.Capabilities{
		SignUpClosed: b.cfg.SignUpClosed, VerifiedEmail: b.cfg.VerifiedEmail, Passkeys: c.factors.Passkeys().Available(),
		Locales: b.mail.Locales(), UploadBytes: b.cfg.UploadBytes, BodyBytes: b.cfg.BodyBytes, Version: b.cfg.Version,
	}
	for _, p := range f.Providers() {
		capabilities.Providers = append(capabilities.Providers, config.Provider{ID: p.ID, DisplayName: p.DisplayName})
	}
	configs, err := config.New(config.Deps{Capabilities: capabilities})
	if err != nil {
		return nil, err
	}
	messages, err := outbox.New(outbox.Deps{Outbox: b.sender.Outbox(), Tokens: b.tokens})
	if err != nil {
		return nil, err
	}
	return room.List{configs, messages}, nil
}
