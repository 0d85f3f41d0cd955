// Package rpctest serves RPCs inside a test, behind the server that every
// service runs and with tokens that it verifies. Calls go through the whole
// chain of package rpcserver.
package rpctest

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"net"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
)

// Issuer is the issuer of every token in a test.
const Issuer = "http://gatehouse.test"

const (
	bufferBytes   = 1 << 20
	tokenLifetime = time.Minute
)

// Options are what a test may choose. The zero value is fit for most.
type Options struct {
	// Keys verify tokens; nil takes those of the server's own key.
	Keys identity.KeySource
	// Log receives the server's lines; nil discards them.
	Log *slog.Logger
	// Limits says whether callers are limited.
	Limits bool
	// Revocations tell which tokens have lost their force; nil takes none.
	Revocations rpcserver.Revocations
	// APIKeys finds out whose API keys are, or nil.
	APIKeys rpcserver.APIKeys
	// Answers remembers answers to requests with an Idempotency-Key, or nil.
	Answers rpcserver.Replayer
}

// Server is a running server.
type Server struct {
	// Conn is a client's connection to it, without any credential.
	Conn *grpc.ClientConn
	// Verifier verifies the tokens that the server believes.
	Verifier *identity.Verifier
	// Stop begins to stop the server; the test's end does too.
	Stop context.CancelFunc
	// Stopped is closed when it has stopped, which must have gone well.
	Stopped <-chan struct{}

	key identity.SigningKey
}

// Serve runs a server for a service until the test ends.
func Serve(t *testing.T, service string, register func(grpc.ServiceRegistrar), opts Options) *Server {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	must(t, err)
	s := &Server{key: identity.SigningKey{ID: "test", Private: private}}
	if opts.Keys == nil {
		opts.Keys = oneKey{s.key}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Revocations == nil {
		opts.Revocations = none{}
	}
	s.Verifier, err = identity.NewVerifier(identity.VerifierConfig{Issuer: Issuer, Service: service}, opts.Keys, clock.System())
	must(t, err)
	authorizer, err := authz.New()
	must(t, err)
	server, err := rpcserver.New(rpcserver.Config{Service: service, Limits: opts.Limits}, rpcserver.Deps{
		Log: opts.Log, Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(),
		Clock: clock.System(), Verifier: s.Verifier, Authorizer: authorizer, Answers: opts.Answers, Revocations: opts.Revocations, APIKeys: opts.APIKeys,
	})
	must(t, err)
	register(server)
	s.run(t, server)
	return s
}

func (s *Server) run(t *testing.T, server *rpcserver.Server) {
	t.Helper()
	listener := bufconn.Listen(bufferBytes)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	stopped := make(chan struct{})
	s.Stop, s.Stopped = cancel, stopped
	go func() {
		defer close(stopped)
		if err := server.Run(ctx, listener); err != nil {
			t.Errorf("the server: %v", err)
		}
	}()
	var err error
	s.Conn, err = grpc.NewClient("passthrough:///test", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	must(t, err)
	t.Cleanup(func() {
		must(t, s.Conn.Close())
		cancel()
		<-stopped
	})
}

// As returns a context that calls as a user of an organization in some roles:
// another user with each call.
func (s *Server) As(t *testing.T, organizationID string, roles ...string) context.Context {
	t.Helper()
	return s.AsUser(t, organizationID, id.New(), roles...)
}

// AsUser is [Server.As] for a certain user, with a new token each time.
func (s *Server) AsUser(t *testing.T, organizationID, userID string, roles ...string) context.Context {
	t.Helper()
	now := clock.System().Now()
	token, err := identity.SignAccess(s.key, identity.AccessClaims{
		Issuer: Issuer, Subject: userID, ID: id.New(), ClientID: identity.FirstParty, OrganizationID: organizationID,
		SessionID: id.New(), Roles: roles, IssuedAt: now, ExpiresAt: now.Add(tokenLifetime), AuthTime: now,
	})
	must(t, err)
	return With(t.Context(), token)
}

// AsClient is [Server.AsUser] for an OAuth client that acts for the user within scopes.
func (s *Server) AsClient(t *testing.T, organizationID, userID string, scopes []string, roles ...string) context.Context {
	t.Helper()
	now := clock.System().Now()
	token, err := identity.SignAccess(s.key, identity.AccessClaims{
		Issuer: Issuer, Subject: userID, ID: id.New(), ClientID: id.New(), OrganizationID: organizationID, Scopes: scopes,
		SessionID: id.New(), Roles: roles, IssuedAt: now, ExpiresAt: now.Add(tokenLifetime), AuthTime: now,
	})
	must(t, err)
	return With(t.Context(), token)
}

// With adds a user's access token to what a context calls with.
func With(ctx context.Context, accessToken string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, rpcserver.MetadataAuthorization, "Bearer "+accessToken)
}

// WithService adds a service's own token for an audience to what a context
// calls with.
func (s *Server) WithService(ctx context.Context, t *testing.T, service, audience string) context.Context {
	t.Helper()
	now := clock.System().Now()
	token, err := identity.SignService(s.key, identity.ServiceClaims{
		Issuer: Issuer, Service: service, Audience: audience, IssuedAt: now, ExpiresAt: now.Add(tokenLifetime),
	})
	must(t, err)
	return metadata.AppendToOutgoingContext(ctx, rpcserver.MetadataServiceToken, token)
}

// none are no revocations.
type none struct{}

// Check implements [rpcserver.Revocations].
func (none) Check(context.Context, *identity.Principal) error { return nil }

// Watch implements [rpcserver.Revocations].
func (none) Watch(*identity.Principal, func()) (stop func()) { return func() {} }

type oneKey struct{ key identity.SigningKey }

// Key implements [identity.KeySource].
func (k oneKey) Key(_ context.Context, kid string) (ed25519.PublicKey, bool, error) {
	public, ok := k.key.Private.Public().(ed25519.PublicKey)
	return public, ok && kid == k.key.ID, nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
