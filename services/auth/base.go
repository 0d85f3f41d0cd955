package auth

import (
	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/notify"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/services/auth/credential/apikey"
	"github.com/gatehouse/gatehouse/services/auth/credential/factor"
	"github.com/gatehouse/gatehouse/services/auth/credential/session"
	"github.com/gatehouse/gatehouse/services/auth/erasure"
	"github.com/gatehouse/gatehouse/services/auth/federation"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
	"github.com/gatehouse/gatehouse/services/auth/token/key"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
)

// base is what several rooms share. It has no room but the mail queue.
type base struct {
	Deps

	cfg           Config
	tokens        *paging.Tokens
	trail         *audit.Trail
	ring          *key.Ring
	sender        *notify.Sender
	mail          *mailing.Service
	users         *user.Store
	organizations *organization.Store
	rights        *organization.Rights
	sessions      *session.Store
	accounts      *session.Accounts
	factors       *factor.Store
	apiKeys       *apikey.Store
	identities    *federation.Store
	revocations   *revocation.Store
	erasures      *erasure.Store
	hasher        *user.Hasher
	throttle      *session.Throttle
	passwords     *session.Passwords
}

func newBase(cfg Config, d Deps) (base, error) {
	tokens, err := paging.NewTokens(cfg.SecretKey)
	if err != nil {
		return base{}, err
	}
	sealer, err := key.NewSealer(cfg.SecretKey)
	if err != nil {
		return base{}, err
	}
	messages := cfg.Messages
	if messages.From == "" {
		messages.From = notify.SenderFor(cfg.Issuer)
	}
	sender, err := notify.Open(messages, d.Clock)
	if err != nil {
		return base{}, err
	}
	mail, err := mailing.New(mailing.Deps{
		DB: d.DB, Sender: sender, SecretKey: cfg.SecretKey, PublicURL: cfg.Issuer,
		Limited: cfg.RateLimits, Log: d.Log, Meter: d.Meter, Clock: d.Clock,
	})
	if err != nil {
		return base{}, err
	}
	var throttle *session.Throttle // nil limits nothing
	if cfg.RateLimits {
		if throttle, err = session.NewThrottle(); err != nil {
			return base{}, err
		}
	}
	users, organizations, sessions := user.NewStore(d.DB), organization.NewStore(d.DB, tokens), session.NewStore(d.DB)
	hasher, trail := user.NewHasher(cfg.PasswordWait), audit.NewTrail(d.Clock)
	return base{
		Deps: d, cfg: cfg, tokens: tokens, trail: trail, ring: key.NewRing(key.NewStore(d.DB), sealer, d.Clock), sender: sender, mail: mail,
		users: users, organizations: organizations, rights: organization.NewRights(organizations, d.Authorizer), sessions: sessions,
		accounts: session.NewAccounts(sessions, users, organizations, hasher, trail, d.Clock),
		factors:  factor.NewStore(d.DB, tokens), apiKeys: apikey.NewStore(d.DB, tokens, d.Clock), identities: federation.NewStore(d.DB, tokens),
		revocations: revocation.NewStore(d.DB, tokens, d.Clock), erasures: erasure.NewStore(d.DB, tokens, d.Clock),
		hasher: hasher, throttle: throttle, passwords: session.NewPasswords(hasher, throttle),
	}, nil
}
