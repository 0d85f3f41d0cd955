package process

import (
	"context"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/config"
	"github.com/gatehouse/gatehouse/platform/health"
	"github.com/gatehouse/gatehouse/platform/idempotency"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/revocation"
	"github.com/gatehouse/gatehouse/platform/rpcclient"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	"github.com/gatehouse/gatehouse/services/auth/authclient"
)

// follow makes the process read revocations and resolve API keys from these sources.
func (p *Process) follow(revoked revocation.Source, keys apikey.Source) error {
	var err error
	if p.apiKeys, err = apikey.NewResolver(keys, p.clock); err != nil {
		return err
	}
	p.revocations = revocation.NewFeed(revoked, p.clock, p.telemetry.Log)
	p.checks.Add("revocations", present(p.revocations.Healthy, health.Down, "no revocations were received from auth recently"))
	p.stack.Add("revocations", p.revocations.Run)
	return nil
}

// followAuth reads revocations and API keys from auth by RPC, unless the process already has a
// source.
func (p *Process) followAuth(tokens rpcclient.TokenSource) error {
	if p.revocations != nil {
		return nil
	}
	conn, err := p.dial(Auth, tokens)
	if err != nil {
		return err
	}
	return p.follow(authclient.Revocations(conn), authclient.APIKeys(conn))
}

// serve adds the server of a service to the process. The server stores the responses for idempotency
// keys in db. With nil keys it uses the published keys of auth; with nil tickets it accepts no
// ticket.
func (p *Process) serve(ctx context.Context, service string, db *postgres.DB, keys identity.KeySource, tickets rpcserver.Tickets,
	register func(grpc.ServiceRegistrar),
) error {
	if keys == nil {
		conn, err := p.dial(Auth, nil)
		if err != nil {
			return err
		}
		keys = identity.NewKeys(authclient.Keys(conn), p.clock)
	}
	verifier, err := identity.NewVerifier(identity.VerifierConfig{Issuer: p.settings.PublicURL, Service: service}, keys, p.clock)
	if err != nil {
		return err
	}
	responses, err := idempotency.New(db, p.key, p.clock)
	if err != nil {
		return err
	}
	server, err := rpcserver.New(rpcserver.Config{
		Service: service, Limits: p.settings.RateLimits == "on", Reflection: p.settings.Env != config.Production,
	}, rpcserver.Deps{
		Log: p.telemetry.Log, Tracer: p.telemetry.Tracer, Meter: p.telemetry.Meter, Clock: p.clock,
		Verifier: verifier, Authorizer: p.authorizer, Answers: responses,
		Revocations: p.revocations, APIKeys: p.apiKeys, Tickets: tickets,
	})
	if err != nil {
		return err
	}
	register(server)
	listener, err := p.mesh.listen(ctx, service)
	if err != nil {
		return err
	}
	p.stack.Add(service, func(ctx context.Context) error { return server.Run(ctx, listener) })
	return nil
}

// serveOps adds the port for operators, with health and metrics.
func (p *Process) serveOps(ctx context.Context) error {
	p.checkWorkers()
	address := p.settings.OpsAddr
	if address == "" {
		address = opsAddresses[Gateway]
		if own, ok := opsAddresses[p.name]; ok {
			address = own
		}
	}
	listener, err := listenTCP(ctx, address)
	if err != nil {
		return err
	}
	handler := health.Handler(p.checks, p.telemetry.Metrics, map[string]string{"version": p.version, "process": p.name})
	p.stack.Add("operations", func(ctx context.Context) error { return health.Serve(ctx, listener, handler) })
	return nil
}
