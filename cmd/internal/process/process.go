// Package process builds and runs the processes of Gatehouse: one process with all services and
// the gateway, or one process for each.
//
// Both forms consist of the same parts: the same servers with the same interceptors, which call
// each other in memory or over TCP (mesh.go). [Serve] and [ServePart] build a process and run it
// until its context ends. When building fails, they close what they have opened.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/cmd/internal/settings"
	"github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/health"
	"github.com/gatehouse/gatehouse/platform/lifecycle"
	"github.com/gatehouse/gatehouse/platform/localdb"
	"github.com/gatehouse/gatehouse/platform/obs"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/revocation"
	"github.com/gatehouse/gatehouse/platform/rpcclient"
	"github.com/gatehouse/gatehouse/services/auth/authclient"
)

// The names of the parts of Gatehouse. A process has one of them, or all.
const (
	Auth       = "auth"
	Management = "management"
	Chat       = "chat"
	Gateway    = "gateway"
)

// closeTimeout limits how long it may take to close one resource.
const closeTimeout = 15 * time.Second

// opsAddresses has, by part, the default address of the operators' port.
var opsAddresses = map[string]string{ //nolint:gochecknoglobals // a constant table
	Gateway: "127.0.0.1:8081", Auth: "127.0.0.1:8082", Management: "127.0.0.1:8083", Chat: "127.0.0.1:8084",
}

// Process is a process that is built, and that Run runs.
type Process struct {
	settings   settings.Settings
	version    string
	name       string
	key        []byte
	clock      clock.Clock
	telemetry  *obs.Telemetry
	stack      *lifecycle.Stack
	checks     *health.Checks
	mesh       *mesh
	authorizer *authz.Authorizer
	// revocations is the feed that all services of the process share.
	revocations *revocation.Feed
	apiKeys     *apikey.Resolver
	database    postgres.Config
	pools       []pool
	// workers report, for each service with jobs, whether its workers run.
	workers []func() bool
}

// pool is the connection pool of a service, with the migrations that it needs.
type pool struct {
	db   *postgres.DB
	sets []postgres.MigrationSet
}

// base builds the parts that every process has.
func base(ctx context.Context, s settings.Settings, name, version string, inMemory bool, logs io.Writer) (*Process, error) {
	telemetry, err := obs.New(ctx, s.Telemetry, name, version, !s.Local(), logs)
	if err != nil {
		return nil, err
	}
	authorizer, err := authz.New()
	if err != nil {
		return nil, err
	}
	p := &Process{
		settings: s, version: version, name: name, clock: clock.System(), telemetry: telemetry,
		stack: lifecycle.New(telemetry.Log), checks: health.NewChecks(), authorizer: authorizer,
		mesh: newMesh(map[string]string{Auth: s.AuthAddr, Management: s.ManagementAddr, Chat: s.ChatAddr}, inMemory),
	}
	p.deferClose("telemetry", telemetry.Shutdown)
	return p, nil
}

// deferClose registers a resource to be closed after everything that was added later has stopped.
func (p *Process) deferClose(name string, closer func(context.Context) error) {
	p.stack.Defer(name, func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout) //nolint:forbidigo // the context of the process has ended by then
		defer cancel()
		if err := closer(ctx); err != nil {
			p.telemetry.Log.Warn("could not close", "part", name, "error", err.Error())
		}
	})
}

// openDatabase uses the configured database, or starts the private one.
func (p *Process) openDatabase(ctx context.Context) error {
	return p.useDatabase(ctx, p.startPrivate)
}

// connectDatabase is openDatabase for a command. If a running server already has the private
// database, the command uses it too.
func (p *Process) connectDatabase(ctx context.Context) error {
	return p.useDatabase(ctx, func(ctx context.Context) (string, error) {
		url, err := p.startPrivate(ctx)
		if _, inUse := errors.AsType[*localdb.InUseError](err); inUse {
			return localdb.Visit(ctx, localdb.Options{DataDir: p.settings.DataDir})
		}
		return url, err
	})
}

// startPrivate starts the private Postgres and returns its URL.
func (p *Process) startPrivate(ctx context.Context) (string, error) {
	cluster, err := localdb.Start(ctx, localdb.Options{DataDir: p.settings.DataDir, Log: p.telemetry.Log})
	if err != nil {
		return "", err
	}
	p.deferClose("private Postgres", cluster.Stop)
	p.stack.Add("watch over the private Postgres", cluster.Run)
	return cluster.URL(), nil
}

// useDatabase configures the database of the settings or, without one, the private database.
func (p *Process) useDatabase(ctx context.Context, private func(context.Context) (string, error)) error {
	p.database = postgres.Config{
		URL: p.settings.DatabaseURL.Reveal(), DirectURL: p.settings.DatabaseDirectURL.Reveal(),
		Log: p.telemetry.Log, MeterProvider: p.telemetry.Meter, TracerProvider: p.telemetry.Tracer, Clock: p.clock,
	}
	if p.database.URL == "" {
		url, err := private(ctx)
		if err != nil {
			return err
		}
		p.database.URL = url
	}
	key, err := p.settings.Key()
	if err != nil {
		return err
	}
	p.key, p.database.SecretKey = key, key
	return nil
}

// openPool opens the pool of a service and adds it to the readiness checks.
func (p *Process) openPool(ctx context.Context, role postgres.Role, sets ...postgres.MigrationSet) (*postgres.DB, error) {
	db, err := postgres.Open(ctx, p.database, role)
	if err != nil {
		return nil, fmt.Errorf("database of %s: %w", role, err)
	}
	p.stack.Defer("pool of "+string(role), db.Close)
	p.pools = append(p.pools, pool{db, sets})
	return db, nil
}

// checkWorkers makes readiness depend on the workers of the services, if the process has any.
func (p *Process) checkWorkers() {
	if len(p.workers) == 0 {
		return
	}
	all := func() bool {
		for _, working := range p.workers {
			if !working() {
				return false
			}
		}
		return true
	}
	p.checks.Add("workers", present(all, health.Down, "no worker takes jobs"))
}

// checkPools makes readiness depend on every pool. A process without one, such as a
// gateway, does not use the database and reports nothing about it.
func (p *Process) checkPools() {
	if len(p.pools) == 0 {
		return
	}
	each := func(check func(context.Context, pool) error) health.Check {
		return health.FromError(func(ctx context.Context) error {
			for _, one := range p.pools {
				if err := check(ctx, one); err != nil {
					return fmt.Errorf("%s: %w", one.db.Role(), err)
				}
			}
			return nil
		})
	}
	p.checks.Add("database", each(func(ctx context.Context, one pool) error { return one.db.Ping(ctx) }))
	p.checks.Add("migrations", each(func(ctx context.Context, one pool) error {
		return postgres.Migrated(ctx, one.db, one.sets...)
	}))
	p.checks.Add("clock", each(func(ctx context.Context, one pool) error { return postgres.CheckClock(ctx, one.db, p.clock) }))
}

// dial connects to a service. With nil tokens it sends no credential, which suffices for public
// RPCs.
func (p *Process) dial(service string, tokens rpcclient.TokenSource) (*grpc.ClientConn, error) {
	conn, err := rpcclient.Dial(p.mesh.peer(service), tokens,
		rpcclient.Telemetry{Tracer: p.telemetry.Tracer, Meter: p.telemetry.Meter})
	if err != nil {
		return nil, err
	}
	p.deferClose("connection to "+service, func(context.Context) error { return conn.Close() })
	return conn, nil
}

// tokens returns the source of the service tokens of a part.
func (p *Process) tokens(part string) (*authclient.Tokens, error) {
	conn, err := p.dial(Auth, nil)
	if err != nil {
		return nil, err
	}
	secret, err := rpcclient.ServiceSecret(p.key, part)
	if err != nil {
		return nil, err
	}
	return authclient.NewTokens(conn, part, secret, p.clock), nil
}

// Run runs the process until ctx ends, and then stops it.
func (p *Process) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, p.checks.Stop)
	defer stop()
	return p.stack.Run(ctx)
}

// gatewayListener listens on the public port.
func (p *Process) gatewayListener(ctx context.Context) (net.Listener, error) {
	return listenTCP(ctx, p.settings.GatewayAddr)
}
