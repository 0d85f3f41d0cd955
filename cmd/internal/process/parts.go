package process

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"path/filepath"

	"github.com/gatehouse/gatehouse/gateway"
	"github.com/gatehouse/gatehouse/platform/egress"
	"github.com/gatehouse/gatehouse/platform/health"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/authclient"
	authmigrations "github.com/gatehouse/gatehouse/services/auth/migrations"
	"github.com/gatehouse/gatehouse/services/chat"
	chatmigrations "github.com/gatehouse/gatehouse/services/chat/migrations"
	"github.com/gatehouse/gatehouse/services/management"
	managementmigrations "github.com/gatehouse/gatehouse/services/management/migrations"
)

// Migrations returns the schemas of all services.
func Migrations() []postgres.MigrationSet {
	return []postgres.MigrationSet{authmigrations.Set(), managementmigrations.Set(), chatmigrations.Set()}
}

// migrate migrates the database to the current schema. With adoptRoles it also sets the passwords of
// login roles that were created with another secret key.
func (p *Process) migrate(ctx context.Context, adoptRoles bool) error {
	url := p.database.DirectURL
	if url == "" {
		url = p.database.URL
	}
	options := postgres.MigrateOptions{Log: p.telemetry.Log, AdoptRoles: adoptRoles}
	return postgres.Migrate(ctx, url, p.key, options, Migrations()...)
}

// openAuth builds the auth service and creates the first operator if there is none. It returns the
// password of the operator only if this call generated it.
func (p *Process) openAuth(ctx context.Context, db *postgres.DB) (*auth.Service, credentials, error) {
	first := credentials{email: p.settings.AdminEmail, password: p.settings.AdminPassword.Reveal()}
	generated := first.password == ""
	if generated {
		first.password = rand.Text()
	}
	providers, listErr := p.settings.Providers.List()
	allowed, err := egress.ParsePrefixes(p.settings.EgressAllow)
	if err = errors.Join(listErr, err); err != nil {
		return nil, first, err
	}
	service, err := auth.New(auth.Config{
		Issuer: p.settings.PublicURL, SecretKey: p.key, AdminEmail: first.email, AdminPassword: first.password,
		RateLimits: p.settings.RateLimits == "on", VerifiedEmail: p.settings.ConfirmsAddresses(), Messages: p.settings.Messages(),
		Settings: p.settings.Auth, SignUpClosed: p.settings.SignUp == "closed",
		UploadBytes: gateway.UploadLimit, BodyBytes: gateway.BodyLimit, Version: p.version,
		Providers: providers, Redirects: p.settings.Providers.Redirects, EgressAllow: allowed,
	}, auth.Deps{DB: db, Clock: p.clock, Log: p.telemetry.Log, Authorizer: p.authorizer, Meter: p.telemetry.Meter})
	if err != nil {
		return nil, first, err
	}
	if err := service.RotateKeys(ctx); err != nil {
		return nil, first, err
	}
	created, err := service.EnsureOperator(ctx)
	if !created || !generated {
		first.password = "" // it was configured, or printed by an earlier start
	}
	return service, first, err
}

// firstOperator creates the first operator if there is none.
func (p *Process) firstOperator(ctx context.Context) (credentials, error) {
	db, err := p.openPool(ctx, authmigrations.Role, authmigrations.Set())
	if err != nil {
		return credentials{}, err
	}
	_, first, err := p.openAuth(ctx, db)
	return first, err
}

// addAuth adds the auth service.
func (p *Process) addAuth(ctx context.Context) (credentials, error) {
	db, err := p.openPool(ctx, authmigrations.Role, authmigrations.Set())
	if err != nil {
		return credentials{}, err
	}
	service, first, err := p.openAuth(ctx, db)
	if err != nil {
		return first, err
	}
	if err := service.CheckKeys(ctx); err != nil {
		return first, err
	}
	if err := p.follow(service.Revocations, service.APIKey); err != nil {
		return first, err
	}
	p.workers = append(p.workers, service.MailHealthy)
	p.stack.Add("mail and signing keys", service.Run)
	return first, p.serve(ctx, Auth, db, service.KeySource(), nil, service.Register)
}

// addChat adds the chat service with its workers.
func (p *Process) addChat(ctx context.Context) error {
	db, err := p.openPool(ctx, chatmigrations.Role, chatmigrations.Set())
	if err != nil {
		return err
	}
	tokens, err := p.tokens(Chat)
	if err != nil {
		return err
	}
	if err := p.followAuth(tokens); err != nil {
		return err
	}
	authConn, err := p.dial(Auth, tokens)
	if err != nil {
		return err
	}
	managementConn, err := p.dial(Management, tokens)
	if err != nil {
		return err
	}
	service, err := chat.New(chat.Config{
		SecretKey: p.key, Model: p.settings.Model, Embedder: p.settings.Embedder,
		OpenAIKey: p.settings.OpenAIKey.Reveal(), OpenAIBaseURL: p.settings.OpenAIBaseURL,
		Journal:     filepath.Join(p.settings.DataDir, "runs"),
		RunsPerUser: p.settings.RunsPerUser, RunsPerOrganization: p.settings.RunsPerOrganization,
		Uploads: filepath.Join(p.settings.DataDir, "uploads"),
	}, chat.Deps{
		DB: db, Auth: authConn, Erasures: authclient.Erasures(authConn), Management: managementConn, Authorizer: p.authorizer, Clock: p.clock, Log: p.telemetry.Log,
		Tracer: p.telemetry.Tracer, Meter: p.telemetry.Meter,
	})
	if err != nil {
		return err
	}
	p.checks.Add("listen", present(service.Listening, health.Down, "announcements do not arrive"))
	p.workers = append(p.workers, service.Working)
	p.checks.Add("model", present(func() bool { return !service.ModelDegraded() }, health.Degraded, "the provider keeps failing"))
	p.stack.Add("runs and jobs", service.Run)
	return p.serve(ctx, Chat, db, nil, service.Tickets(), service.Register)
}

// present returns a health check that is up while a condition holds.
func present(holds func() bool, otherwise health.Status, detail string) health.Check {
	return func(context.Context) health.Result {
		if holds() {
			return health.Result{Status: health.Up}
		}
		return health.Result{Status: otherwise, Detail: detail}
	}
}

func (p *Process) addManagement(ctx context.Context) error {
	db, err := p.openPool(ctx, managementmigrations.Role, managementmigrations.Set())
	if err != nil {
		return err
	}
	tokens, err := p.tokens(Management)
	if err != nil {
		return err
	}
	authConn, err := p.dial(Auth, tokens)
	if err != nil {
		return err
	}
	// It is dialed only when an assistant names collections, so management starts and
	// is ready without chat.
	chatConn, err := p.dial(Chat, tokens)
	if err != nil {
		return err
	}
	service, err := management.New(management.Deps{
		DB: db, SecretKey: p.key, Erasures: authclient.Erasures(authConn), Chat: chatConn, Clock: p.clock, Log: p.telemetry.Log,
	})
	if err != nil {
		return err
	}
	p.stack.Add("erasures", service.Run)
	if err := p.followAuth(tokens); err != nil {
		return err
	}
	return p.serve(ctx, Management, db, nil, nil, service.Register)
}

func (p *Process) addGateway(ctx context.Context) (net.Listener, error) {
	tokens, err := p.tokens(Gateway)
	if err != nil {
		return nil, err
	}
	g, err := gateway.New(gateway.Config{
		PublicURL: p.settings.PublicURL, CORSOrigins: p.settings.CORSOrigins,
		TrustedProxyHops: p.settings.TrustedProxyHops, RateLimits: p.settings.RateLimits == "on",
		Local: p.settings.Local(), Version: p.version,
	}, gateway.Deps{
		Auth: p.mesh.peer(Auth), Management: p.mesh.peer(Management), Chat: p.mesh.peer(Chat), Tokens: tokens,
		Log: p.telemetry.Log, Tracer: p.telemetry.Tracer, Meter: p.telemetry.Meter, Clock: p.clock,
	})
	if err != nil {
		return nil, err
	}
	p.deferClose("gateway's connections", func(context.Context) error { return g.Close() })
	listener, err := p.gatewayListener(ctx)
	if err != nil {
		return nil, err
	}
	p.stack.Add(Gateway, func(ctx context.Context) error { return g.Run(ctx, listener) })
	return listener, nil
}
