package auth

import (
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/services/auth/config"
	"github.com/gatehouse/gatehouse/services/auth/federation"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// openFederation builds the room of sign-in by identity providers.
func (s *Service) openFederation(deps Deps, tokens *paging.Tokens, organizations *organization.Store, rights *organization.Rights) (*federation.Service, error) {
	return federation.NewService(federation.Deps{
		Store: federation.NewStore(deps.DB, tokens), Users: s.users, Organizations: organizations, Rights: rights,
		Sessions: s.sessions, Accounts: s.accountMaker, Addresses: s.emails, Enrolled: s.factors.Methods,
		Mail: s.mail.queue, Providers: s.cfg.Providers, Redirects: s.cfg.Redirects, PublicURL: s.cfg.Issuer,
		EgressAllow: s.cfg.EgressAllow, SignUpClosed: s.cfg.SignUpClosed, SecretKey: s.cfg.SecretKey, Trail: s.trail, Clock: deps.Clock,
	})
}

// Providers lists the identity providers by which anybody may sign in.
func (s *Service) Providers() []federation.Provider { return s.federation.Providers() }

// openConfig says what the rooms offer together.
func (s *Service) openConfig() *config.Service {
	o := config.Capabilities{
		SignUpClosed: s.cfg.SignUpClosed, VerifiedEmail: s.cfg.VerifiedEmail, Passkeys: s.passkeys.Available(),
		Locales: s.mail.worker.Locales(), UploadBytes: s.cfg.UploadBytes, BodyBytes: s.cfg.BodyBytes, Version: s.cfg.Version,
	}
	for _, p := range s.Providers() {
		o.Providers = append(o.Providers, config.Provider{ID: p.ID, DisplayName: p.DisplayName})
	}
	return config.NewService(o)
}
