// Package settings gathers the settings of every part of Gatehouse, checks
// them together, and refuses in production what is only fit for a laptop.
package settings

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/config"
	"github.com/gatehouse/gatehouse/platform/egress"
	"github.com/gatehouse/gatehouse/platform/notify"
	"github.com/gatehouse/gatehouse/platform/obs"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

const (
	secretKeyBytes = 32
	secretKeyFile  = "secret.key"

	minPasswordWait = 100 * time.Millisecond
	// maxPasswordWait leaves a request the rest of the 30 seconds that it may take.
	maxPasswordWait = 20 * time.Second

	maxInvitationsPerDay = 100_000
)

// Settings are all settings. docs/config.md is generated from them.
type Settings struct {
	// local, development or production. Production refuses to start on settings
	// that are only fit for a laptop.
	Env config.Environment `env:"GATEHOUSE_ENV" envDefault:"local"`
	// Where the private Postgres, the development key and the journals of runs are
	// kept. Servers keep it over restarts, so that a killed chat loses nothing.
	DataDir string `env:"GATEHOUSE_DATA_DIR" envDefault:".gatehouse"`
	// The Postgres that the services share. Unset in local, a private one is
	// kept in the data directory.
	DatabaseURL config.Secret `env:"GATEHOUSE_DATABASE_URL"`
	// The same, by the name that hosting platforms use.
	PlatformDatabaseURL config.Secret `env:"DATABASE_URL"`
	// A connection past a transaction-mode PgBouncer, for LISTEN, advisory locks
	// and migrations. Unset, the database URL.
	DatabaseDirectURL config.Secret `env:"GATEHOUSE_DATABASE_DIRECT_URL"`
	// 32 bytes in base64: seals what is stored and proves the services to each
	// other. Made in the data directory in local, required elsewhere.
	SecretKey config.Secret `env:"GATEHOUSE_SECRET_KEY"`
	// The one public port.
	GatewayAddr string `env:"GATEHOUSE_GATEWAY_ADDR" envDefault:"127.0.0.1:8080"`
	// Health, metrics and profiles; never public.
	OpsAddr string `env:"GATEHOUSE_OPS_ADDR"`
	// Where auth listens and is dialed.
	AuthAddr string `env:"GATEHOUSE_AUTH_ADDR" envDefault:"127.0.0.1:9101"`
	// Where management listens and is dialed.
	ManagementAddr string `env:"GATEHOUSE_MANAGEMENT_ADDR" envDefault:"127.0.0.1:9102"`
	// Where chat listens and is dialed.
	ChatAddr string `env:"GATEHOUSE_CHAT_ADDR" envDefault:"127.0.0.1:9103"`
	// Where clients find the gateway: the issuer of tokens. Unset, http:// and the
	// gateway's address.
	PublicURL string `env:"GATEHOUSE_PUBLIC_URL"`
	// The first operator's address.
	AdminEmail string `env:"GATEHOUSE_ADMIN_EMAIL" envDefault:"admin@gatehouse.local"`
	// The first operator's password. Unset in local, one is made and printed once.
	AdminPassword config.Secret `env:"GATEHOUSE_ADMIN_PASSWORD"`
	// The server that mail leaves by: smtp://user:password@host:port, or smtps://.
	// Over smtp the connection must become TLS, except on this machine;
	// ?starttls=optional allows plain text, ?from=address names the sender. Unset,
	// mail is written to the data directory and shown by /v1/dev/outbox in local, and
	// waits elsewhere.
	SMTPURL config.Secret `env:"GATEHOUSE_SMTP_URL"`
	// The service that texts leave by: twilio://SID:TOKEN@?from=+1555…. Unset, as
	// for mail.
	SMSURL config.Secret `env:"GATEHOUSE_SMS_URL"`
	// on or off: whether whoever signs up must confirm the address, by a link in a
	// mail, before there is an account. Unset, on in production and off elsewhere.
	VerifiedEmail string `env:"GATEHOUSE_VERIFIED_EMAIL"`
	// open or closed: whether anybody may sign up. Closed, an account is made by
	// gatehouse user create; by whoever was invited into an organization, with the token
	// of that mail; and by an organization's own identity provider for whom it brings.
	SignUp string `env:"GATEHOUSE_SIGN_UP" envDefault:"open"`
	// How long a password waits for its turn to be hashed before the request is
	// answered 503, from 100ms to 20s: a duration such as 2s.
	PasswordWait time.Duration `env:"GATEHOUSE_PASSWORD_WAIT" envDefault:"2s"`
	// How many invitations an organization may send on one day (UTC), from 1 to
	// 100000. Each is a mail to a person who may not want it. An account whose
	// address is not confirmed sends at most 5, and a service account none until an
	// owner's address is confirmed. None of these limits applies when
	// GATEHOUSE_RATE_LIMITS is off.
	InvitationsPerDay int `env:"GATEHOUSE_INVITATIONS_PER_DAY" envDefault:"200"`
	// The identity providers by which anybody may sign in.
	Providers Providers
	// What may be reached beside the public internet at addresses that users choose, as
	// CIDRs, comma separated: the identity providers of organizations.
	EgressAllow []string `env:"GATEHOUSE_EGRESS_ALLOW"`
	// The default chat model, provider/name.
	Model string `env:"GATEHOUSE_MODEL" envDefault:"local/extractive"`
	// The embedder, provider/name.
	Embedder string `env:"GATEHOUSE_EMBEDDER" envDefault:"local/hash-ngram-v1"`
	// The key for the openai provider.
	OpenAIKey config.Secret `env:"OPENAI_API_KEY"`
	// The base URL of an OpenAI-compatible server, with its /v1.
	OpenAIBaseURL string `env:"OPENAI_BASE_URL"`
	// How many runs a user may have at once, over all organizations; one more is
	// refused with 429. 0 means no limit.
	RunsPerUser int32 `env:"GATEHOUSE_RUNS_PER_USER" envDefault:"8"`
	// How many runs an organization may have at once; one more is refused with
	// 429. 0 means no limit.
	RunsPerOrganization int32 `env:"GATEHOUSE_RUNS_PER_ORGANIZATION" envDefault:"64"`
	// How many proxies in front may add to X-Forwarded-For.
	TrustedProxyHops int `env:"GATEHOUSE_TRUSTED_PROXY_HOPS" envDefault:"0"`
	// Exact origins whose pages may call the API, comma separated.
	CORSOrigins []string `env:"GATEHOUSE_CORS_ORIGINS"`
	// on or off; off in local alone.
	RateLimits string `env:"GATEHOUSE_RATE_LIMITS" envDefault:"on"`
	// Logs and traces.
	Telemetry obs.Config
}

// Load reads and checks the settings. The error tells every problem.
func Load(variables map[string]string) (Settings, error) {
	var s Settings
	if err := config.Load(&s, variables); err != nil {
		return s, err
	}
	if s.PublicURL == "" {
		s.PublicURL = "http://" + s.GatewayAddr
	}
	if !s.DatabaseURL.IsSet() {
		s.DatabaseURL = s.PlatformDatabaseURL
	}
	return s, s.Validate()
}

// Local tells whether this is a laptop's installation.
func (s Settings) Local() bool { return s.Env == config.Local }

// ConfirmsAddresses tells whether a sign-up must confirm its address.
func (s Settings) ConfirmsAddresses() bool {
	return s.VerifiedEmail == "on" || (s.VerifiedEmail == "" && s.Env == config.Production)
}

// Messages is how mail and texts leave. Only in local are they written down where
// they have no server: they hold what opens accounts.
func (s Settings) Messages() notify.Config {
	out := notify.Config{
		SMTPURL: s.SMTPURL.Reveal(), SMSURL: s.SMSURL.Reveal(), From: notify.SenderFor(s.PublicURL),
	}
	if s.Local() {
		out.Outbox = filepath.Join(s.DataDir, "outbox")
	}
	return out
}

// Validate reports every setting that is wrong, alone or with others.
func (s Settings) Validate() error {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	switch s.Env {
	case config.Local, config.Development, config.Production:
	default:
		add("GATEHOUSE_ENV: %q is none of local, development, production", s.Env)
	}
	if s.RateLimits != "on" && s.RateLimits != "off" {
		add("GATEHOUSE_RATE_LIMITS: %q is neither on nor off", s.RateLimits)
	}
	if s.VerifiedEmail != "" && s.VerifiedEmail != "on" && s.VerifiedEmail != "off" {
		add("GATEHOUSE_VERIFIED_EMAIL: %q is neither on nor off", s.VerifiedEmail)
	}
	if s.SignUp != "open" && s.SignUp != "closed" {
		add("GATEHOUSE_SIGN_UP: %q is neither open nor closed", s.SignUp)
	}
	if s.PasswordWait < minPasswordWait || s.PasswordWait > maxPasswordWait {
		add("GATEHOUSE_PASSWORD_WAIT: %s is not between %s and %s", s.PasswordWait, minPasswordWait, maxPasswordWait)
	}
	if s.RunsPerUser < 0 {
		add("GATEHOUSE_RUNS_PER_USER: %d is negative", s.RunsPerUser)
	}
	if s.RunsPerOrganization < 0 {
		add("GATEHOUSE_RUNS_PER_ORGANIZATION: %d is negative", s.RunsPerOrganization)
	}
	if s.InvitationsPerDay < 1 || s.InvitationsPerDay > maxInvitationsPerDay {
		add("GATEHOUSE_INVITATIONS_PER_DAY: %d is not between 1 and %d", s.InvitationsPerDay, maxInvitationsPerDay)
	}
	if _, err := egress.ParsePrefixes(s.EgressAllow); err != nil {
		add("GATEHOUSE_EGRESS_ALLOW: %w", err)
	}
	if _, err := notify.Open(s.Messages(), clock.System()); err != nil {
		problems = append(problems, err)
	}
	if !s.Local() {
		problems = append(problems, s.validateServer()...)
	}
	if s.SecretKey.IsSet() {
		if _, err := decodeKey(s.SecretKey.Reveal()); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(append(problems, s.Providers.Validate(), s.Telemetry.Validate())...)
}

// validateServer reports what is missing or unfit outside of local.
func (s Settings) validateServer() []error {
	var problems []error
	add := func(text string) { problems = append(problems, errors.New(text)) }
	if !s.DatabaseURL.IsSet() {
		add("GATEHOUSE_DATABASE_URL: is required outside of local")
	}
	if !s.SecretKey.IsSet() {
		add("GATEHOUSE_SECRET_KEY: is required outside of local")
	}
	if !s.AdminPassword.IsSet() {
		add("GATEHOUSE_ADMIN_PASSWORD: is required outside of local")
	}
	if s.RateLimits == "off" {
		add("GATEHOUSE_RATE_LIMITS: can be off in local alone")
	}
	if s.Env != config.Production {
		return problems
	}
	for name, value := range map[string]config.Secret{
		"GATEHOUSE_DATABASE_URL": s.DatabaseURL, "GATEHOUSE_DATABASE_DIRECT_URL": s.DatabaseDirectURL,
	} {
		if !value.IsSet() {
			continue
		}
		switch plain, err := postgres.Plaintext(value.Reveal()); {
		case err != nil:
			add(name + ": cannot be read as a Postgres URL or connection string")
		case plain:
			add(name + ": may reach another host without TLS; add sslmode=verify-full")
		}
	}
	if !strings.HasPrefix(s.PublicURL, "https://") {
		add("GATEHOUSE_PUBLIC_URL: must be https in production")
	}
	if slices.Contains(s.CORSOrigins, "*") {
		add("GATEHOUSE_CORS_ORIGINS: * would let every page call; name the origins")
	}
	return problems
}

// Key returns the secret key, made and kept in the data directory in local.
func (s Settings) Key() ([]byte, error) {
	if s.SecretKey.IsSet() {
		return decodeKey(s.SecretKey.Reveal())
	}
	path := filepath.Join(s.DataDir, secretKeyFile)
	raw, err := os.ReadFile(path)
	if err == nil {
		return decodeKey(strings.TrimSpace(string(raw)))
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	key := make([]byte, secretKeyBytes)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	// With a database elsewhere nothing has made the folder yet. A private one may
	// follow, whose own user then has to pass through.
	if err := os.MkdirAll(s.DataDir, 0o711); err != nil { //nolint:gosec // to pass through, not to read
		return nil, fmt.Errorf("secret key: %w", err)
	}
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	return key, nil
}

func decodeKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != secretKeyBytes {
		return nil, fmt.Errorf("GATEHOUSE_SECRET_KEY: must be %d bytes in base64", secretKeyBytes)
	}
	return key, nil
}
