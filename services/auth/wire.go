package auth

import (
	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/services/auth/credential/apikey"
	"github.com/gatehouse/gatehouse/services/auth/credential/factor"
	"github.com/gatehouse/gatehouse/services/auth/credential/publishablekey"
	"github.com/gatehouse/gatehouse/services/auth/credential/session"
	"github.com/gatehouse/gatehouse/services/auth/credential/usersession"
	"github.com/gatehouse/gatehouse/services/auth/erasure"
	"github.com/gatehouse/gatehouse/services/auth/federation"
	"github.com/gatehouse/gatehouse/services/auth/identity/account"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/identity/useradmin"
	"github.com/gatehouse/gatehouse/services/auth/identity/userdirectory"
	"github.com/gatehouse/gatehouse/services/auth/oauth/grant"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauth"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauthclient"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/invitation"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/role"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/serviceaccount"
	"github.com/gatehouse/gatehouse/services/auth/token/key"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
	"github.com/gatehouse/gatehouse/services/auth/token/servicetoken"
)

// wire builds the rooms, in the order in which they need each other.
func (s *Service) wire(deps Deps, tokens *paging.Tokens) error {
	users, organizations, sessions := user.NewStore(deps.DB), organization.NewStore(deps.DB, tokens), session.NewStore(deps.DB)
	hasher, trail := user.NewHasher(s.cfg.PasswordWait), audit.NewTrail(deps.Clock)
	s.users, s.trail = users, trail
	rights := organization.NewRights(organizations, deps.Authorizer)
	throttle, err := s.throttle()
	if err != nil {
		return err
	}
	passwords := session.NewPasswords(hasher, throttle)
	s.revoked = revocation.NewStore(deps.DB, tokens, deps.Clock)
	s.accountMaker = session.NewAccounts(sessions, users, organizations, hasher, trail, deps.Clock)
	s.keyStore = apikey.NewStore(deps.DB, tokens, deps.Clock)
	if s.apiKeys, err = apikey.NewService(apikey.Deps{
		Store: s.keyStore, Authorizer: deps.Authorizer, Revocations: s.revoked, Trail: trail,
	}); err != nil {
		return err
	}
	if s.userSessions, err = usersession.NewService(usersession.Deps{
		Store: usersession.NewStore(deps.DB, tokens), Revocations: s.revoked, Trail: trail, Clock: deps.Clock,
	}); err != nil {
		return err
	}
	if s.mail, err = openMail(s.cfg, deps, tokens); err != nil {
		return err
	}
	factors := factor.NewStore(deps.DB, tokens)
	s.factorStore = factors
	if s.factors, err = factor.NewService(factor.Deps{
		Store: factors, Users: users, Sessions: s.userSessions, Mail: s.mail.queue, SecretKey: s.cfg.SecretKey,
		Trail: trail, Clock: deps.Clock,
	}); err != nil {
		return err
	}
	if s.passkeys, err = factor.NewPasskeys(s.factors, s.cfg.Issuer); err != nil {
		return err
	}
	if s.emails, err = s.openEmails(deps, emailDeps{
		users: users, accounts: s.accountMaker, hasher: hasher, passwords: passwords, sessions: s.userSessions, keys: s.apiKeys, factors: factors,
		identities: federation.NewStore(deps.DB, tokens),
	}); err != nil {
		return err
	}
	if s.invitations, err = invitation.NewService(invitation.Deps{
		Store: invitation.NewStore(deps.DB, tokens), Users: users, Organizations: organizations, Rights: rights, Mail: s.mail.queue,
		PerDay: s.invitationsPerDay(), PublicURL: s.cfg.Issuer, Trail: trail, Clock: deps.Clock,
	}, s.mail.worker); err != nil {
		return err
	}
	if err := s.openSessions(session.Deps{
		Store: sessions, Users: users, Organizations: organizations, Accounts: s.accountMaker, Passwords: passwords, Throttle: throttle,
		Factors: s.factors, Passkeys: s.passkeys, Mail: s.mail.queue, Addresses: s.emails,
		Keys: s.ring, Issuer: s.cfg.Issuer, Revocations: s.revoked, Trail: trail, Clock: deps.Clock,
	}); err != nil {
		return err
	}
	if err := s.wireOrganizations(deps, tokens, organizations, rights); err != nil {
		return err
	}
	if err := s.openAccounts(deps, tokens, hasher, passwords); err != nil {
		return err
	}
	if err = s.wireOAuth(deps, tokens, users, organizations); err != nil {
		return err
	}
	if s.revocations, err = revocation.NewService(s.revoked); err != nil {
		return err
	}
	if s.keys, err = key.NewService(s.ring); err != nil {
		return err
	}
	s.serviceTokens, err = servicetoken.NewService(s.ring, s.cfg.Issuer, s.cfg.SecretKey, deps.Clock)
	return err
}

// throttle is what bounds wrong passwords and codes; nil where rates are not limited.
func (s *Service) throttle() (*session.Throttle, error) {
	if !s.cfg.RateLimits {
		return nil, nil //nolint:nilnil // the rooms take nil for no limit
	}
	return session.NewThrottle()
}

// invitationsPerDay is how many invitations an organization may send on a day; 0,
// for no limit, when rates are not limited.
func (s *Service) invitationsPerDay() int {
	if !s.cfg.RateLimits {
		return 0
	}
	return s.cfg.InvitationsPerDay
}

// openSessions builds the room of sessions, with what the configuration says of it.
func (s *Service) openSessions(d session.Deps) error {
	if s.cfg.SignUpClosed {
		d.Invited = s.invitations.Pending
	}
	var err error
	s.sessions, err = session.NewService(d)
	return err
}

// openAccounts builds the room of the own account, and that of what goes with one.
func (s *Service) openAccounts(deps Deps, tokens *paging.Tokens, hasher *user.Hasher, passwords *session.Passwords) error {
	gone := erasure.NewStore(deps.DB, tokens, deps.Clock)
	var err error
	if s.erasures, err = erasure.NewService(gone); err != nil {
		return err
	}
	s.accounts, err = account.NewService(account.Deps{
		Store: account.NewStore(deps.DB), Users: s.users, Hasher: hasher, Passwords: passwords, Sessions: s.userSessions,
		Mail: s.mail.queue, Authorizer: deps.Authorizer, Trail: s.trail, Clock: deps.Clock,
		Deletion: account.Deletion{
			RequireFresh: s.factors.RequireFresh, LeaveOrganizations: s.organizations.LeaveAll, DeleteKeys: s.apiKeys.DeleteAll, DeleteFactors: s.factorStore.DeleteAll,
			RevokeTokens: s.revoked.RevokeUser, EraseElsewhere: gone.AddUser,
		},
	})
	if err != nil {
		return err
	}
	s.userAdmin, err = useradmin.NewService(useradmin.Deps{
		Store: useradmin.NewStore(deps.DB, tokens), Users: s.users, Trail: s.trail, Clock: deps.Clock,
		Accounts: useradmin.Accounts{Create: s.accountMaker.CreateByOperator, Delete: s.accounts.Delete, Disable: s.endAccess},
	})
	return err
}

// wireOAuth builds the rooms of the OAuth provider.
func (s *Service) wireOAuth(deps Deps, tokens *paging.Tokens, users *user.Store, organizations *organization.Store) (err error) {
	clients, grants := oauthclient.NewStore(deps.DB, tokens), grant.NewStore(deps.DB, tokens)
	if s.oauthClients, err = oauthclient.NewService(oauthclient.Deps{
		Store: clients, Authorizer: deps.Authorizer, Revocations: s.revoked, Trail: s.trail, Clock: deps.Clock,
	}); err != nil {
		return err
	}
	if s.grants, err = grant.NewService(grant.Deps{
		Store: grants, Revocations: s.revoked, Trail: s.trail, Clock: deps.Clock,
	}); err != nil {
		return err
	}
	s.oauth, err = oauth.NewService(oauth.Deps{
		Store: oauth.NewStore(deps.DB), Clients: clients, Grants: grants, Users: users, Organizations: organizations,
		Sessions: s.sessions, Keys: s.ring, Revocations: s.revoked, Issuer: s.cfg.Issuer, Trail: s.trail, Clock: deps.Clock,
	})
	return err
}

// wireOrganizations builds the rooms of what belongs to organizations, and of who comes
// into them.
func (s *Service) wireOrganizations(deps Deps, tokens *paging.Tokens, organizations *organization.Store, rights *organization.Rights) (err error) {
	if s.federation, err = s.openFederation(deps, tokens, organizations, rights); err != nil {
		return err
	}
	if s.organizations, err = organization.NewService(organization.Deps{
		Store: organizations, Rights: rights, Revocations: s.revoked, Withdraw: s.invitations.Withdraw, Fresh: s.factors.RequireFresh, Trail: s.trail, Clock: deps.Clock,
	}); err != nil {
		return err
	}
	if s.roles, err = role.NewService(role.Deps{
		Store: role.NewStore(deps.DB, tokens), Rights: rights, Authorizer: deps.Authorizer, Revocations: s.revoked,
		Withdraw: s.invitations.Withdraw, Trail: s.trail, Clock: deps.Clock,
	}); err != nil {
		return err
	}
	if s.serviceAccounts, err = serviceaccount.NewService(serviceaccount.Deps{
		Store: serviceaccount.NewStore(deps.DB, tokens, organizations), Rights: rights, Keys: s.apiKeys, Revocations: s.revoked,
		Withdraw: s.invitations.Withdraw, Trail: s.trail, Clock: deps.Clock,
	}); err != nil {
		return err
	}
	published := publishablekey.NewStore(deps.DB, tokens)
	s.publishable = publishablekey.NewDirectory(published)
	if s.publishableKeys, err = publishablekey.NewService(publishablekey.Deps{
		Store: published, Trail: s.trail, Clock: deps.Clock,
	}); err != nil {
		return err
	}
	s.directory, err = userdirectory.NewService(userdirectory.Deps{
		Store: userdirectory.NewStore(deps.DB), Organizations: organizations, Rights: rights,
	})
	return err
}
