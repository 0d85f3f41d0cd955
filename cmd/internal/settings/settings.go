// Package settings reads the settings of every part of Gatehouse and checks them
// together. In production it rejects settings that are only for local development.
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

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/config"
	"github.com/gatehouse/gatehouse/platform/egress"
	"github.com/gatehouse/gatehouse/platform/notify"
	"github.com/gatehouse/gatehouse/platform/obs"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth"
)

const (
	secretKeyBytes = 32
	secretKeyFile  = "secret.key"
)

// Settings are all settings. docs/config.md is generated from them.
type Settings struct {
	// local, development or production. In production, the start fails with settings that
	// are only for local development.
	Env config.Environment `env:"GATEHOUSE_ENV" envDefault:"local"`
	// The directory of the private Postgres, the development key, uploads and the journals
	// of runs. Keep it between restarts, so that a killed chat process loses no events.
	DataDir string `env:"GATEHOUSE_DATA_DIR" envDefault:".gatehouse"`
	// The Postgres that the services share. When unset in local, a private Postgres in the
	// data directory is used.
	DatabaseURL config.Secret `env:"GATEHOUSE_DATABASE_URL"`
	// The same as GATEHOUSE_DATABASE_URL, with the name that hosting platforms use.
	PlatformDatabaseURL config.Secret `env:"DATABASE_URL"`
	// A connection that bypasses a transaction-mode PgBouncer, for LISTEN, advisory locks
	// and migrations. When unset, the database URL.
	DatabaseDirectURL config.Secret `env:"GATEHOUSE_DATABASE_DIRECT_URL"`
	// 32 bytes in base64. The key encrypts stored secrets and authenticates the services to
	// each other. In local it is created in the data directory; elsewhere it is required.
	SecretKey config.Secret `env:"GATEHOUSE_SECRET_KEY"`
	// The address of the gateway, the only public port.
	GatewayAddr string `env:"GATEHOUSE_GATEWAY_ADDR" envDefault:"127.0.0.1:8080"`
	// The address of health, metrics and profiles. It must not be public.
	OpsAddr string `env:"GATEHOUSE_OPS_ADDR"`
	// The address of auth: auth listens on it, and other services call it.
	AuthAddr string `env:"GATEHOUSE_AUTH_ADDR" envDefault:"127.0.0.1:9101"`
	// The address of management: management listens on it, and other services call it.
	ManagementAddr string `env:"GATEHOUSE_MANAGEMENT_ADDR" envDefault:"127.0.0.1:9102"`
	// The address of chat: chat listens on it, and other services call it.
	ChatAddr string `env:"GATEHOUSE_CHAT_ADDR" envDefault:"127.0.0.1:9103"`
	// The URL of the gateway for clients, and the issuer of tokens. When unset, http:// and
	// the gateway's address.
	PublicURL string `env:"GATEHOUSE_PUBLIC_URL"`
	// The first operator's email address.
	AdminEmail string `env:"GATEHOUSE_ADMIN_EMAIL" envDefault:"admin@gatehouse.local"`
	// The first operator's password. When unset in local, one is created and printed once.
	AdminPassword config.Secret `env:"GATEHOUSE_ADMIN_PASSWORD"`
	// The server that sends email: smtp://user:password@host:port, or smtps://. With smtp
	// the connection must switch to TLS, except on this machine; ?starttls=optional allows
	// plain text, ?from=address sets the sender. When unset in local, email is written to
	// the data directory and returned by /v1/dev/outbox; elsewhere it stays queued.
	SMTPURL config.Secret `env:"GATEHOUSE_SMTP_URL"`
	// The service that sends text messages: twilio://SID:TOKEN@?from=+1555…. When unset, the
	// same as for email.
	SMSURL config.Secret `env:"GATEHOUSE_SMS_URL"`
	// on or off: whether a new user must confirm the email address, by a link in an email,
	// before the account is created. When unset, on in production and off elsewhere.
	VerifiedEmail string `env:"GATEHOUSE_VERIFIED_EMAIL"`
	// open or closed: whether anyone may sign up. When closed, accounts are created only by
	// operators and gatehouse user create, by sign-up with the token of an invitation, and by
	// the identity provider of an organization for that organization's users.
	SignUp string `env:"GATEHOUSE_SIGN_UP" envDefault:"open"`
	// Passwords and invitations.
	Auth auth.Settings
	// The identity providers that every user may sign in with.
	Providers Providers
	// The private networks that calls to URLs of users may reach, as comma-separated CIDRs.
	// Such URLs are those of the identity providers of organizations.
	EgressAllow []string `env:"GATEHOUSE_EGRESS_ALLOW"`
	// The default chat model, as provider/name.
	Model string `env:"GATEHOUSE_MODEL" envDefault:"local/extractive"`
	// The embedder, as provider/name.
	Embedder string `env:"GATEHOUSE_EMBEDDER" envDefault:"local/hash-ngram-v1"`
	// The API key of the openai model provider.
	OpenAIKey config.Secret `env:"OPENAI_API_KEY"`
	// The base URL of an OpenAI-compatible server, including /v1.
	OpenAIBaseURL string `env:"OPENAI_BASE_URL"`
	// How many active runs a user may have, in all organizations together. Further runs are
	// rejected with 429. 0 means no limit.
	RunsPerUser int32 `env:"GATEHOUSE_RUNS_PER_USER" envDefault:"8"`
	// How many active runs an organization may have. Further runs are rejected with 429. 0
	// means no limit.
	RunsPerOrganization int32 `env:"GATEHOUSE_RUNS_PER_ORGANIZATION" envDefault:"64"`
	// How many proxies in front of the gateway add to X-Forwarded-For.
	TrustedProxyHops int `env:"GATEHOUSE_TRUSTED_PROXY_HOPS" envDefault:"0"`
	// The exact origins whose pages may call the API, comma-separated.
	CORSOrigins []string `env:"GATEHOUSE_CORS_ORIGINS"`
	// on or off. Only local may set it to off.
	RateLimits string `env:"GATEHOUSE_RATE_LIMITS" envDefault:"on"`
	// Logs and traces.
	Telemetry obs.Config
}

// Load reads and checks the settings. The error lists every problem.
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

// Local reports whether the environment is local.
func (s Settings) Local() bool { return s.Env == config.Local }

// ConfirmsAddresses reports whether a sign-up must confirm its email address.
func (s Settings) ConfirmsAddresses() bool {
	return s.VerifiedEmail == "on" || (s.VerifiedEmail == "" && s.Env == config.Production)
}

// Messages returns the configuration of email and text messages. Only in local are they
// stored in files when no server is configured, because they contain links and codes that
// sign in.
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
		add("GATEHOUSE_ENV: %q is not one of local, development, production", s.Env)
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
	problems = append(problems, s.Auth.Problems()...)
	if s.RunsPerUser < 0 {
		add("GATEHOUSE_RUNS_PER_USER: %d is negative", s.RunsPerUser)
	}
	if s.RunsPerOrganization < 0 {
		add("GATEHOUSE_RUNS_PER_ORGANIZATION: %d is negative", s.RunsPerOrganization)
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

// validateServer returns the settings that are missing or not allowed outside of local.
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
		add("GATEHOUSE_RATE_LIMITS: can be off only in local")
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

// Key returns the secret key. In local it creates the key in the data directory.
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
	// With an external database, the directory may not exist yet. If a private Postgres is
	// started in it later, its system user must be able to traverse the directory.
	if err := os.MkdirAll(s.DataDir, 0o711); err != nil { //nolint:gosec // others may traverse it, not list it
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
