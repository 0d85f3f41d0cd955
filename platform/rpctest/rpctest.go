// Package rpctest serves RPCs inside a test, with the server of package rpcserver and
// with tokens that it verifies. Calls pass the whole chain of that package.
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

// Options configure a server. The zero value is right for most tests.
type Options struct {
	// Keys verify tokens. Nil means the key with which the server signs its tokens.
	Keys identity.KeySource
	// Log receives the log of the server. Nil discards it.
	Log *slog.Logger
	// Limits enables the rate limits of callers.
	Limits bool
	// Revocations finds revoked tokens. Nil means that no token is revoked.
	Revocations rpcserver.Revocations
	// APIKeys resolves API keys. It may be nil.
	APIKeys rpcserver.APIKeys
	// Answers stores responses to requests with an Idempotency-Key. It may be nil.
	Answers rpcserver.Replayer
}

// Server is a running server.
type Server struct {
	// Conn is a client's connection to the server, without a credential.
	Conn *grpc.ClientConn
	// Verifier is the verifier of the server.
	Verifier *identity.Verifier
	// Stop starts to stop the server, as the end of the test does.
	Stop context.CancelFunc
	// Stopped is closed when the server has stopped.
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

// As returns a context with the access token of a new user of an organization, with some
// roles.
func (s *Server) As(t *testing.T, organizationID string, roles ...string) context.Context {
	t.Helper()
	return s.AsUser(t, organizationID, id.New(), roles...)
}

// AsUser is [Server.As] for a given user, with a new token each time.
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

// With adds a user's access token to the calls of a context.
func With(ctx context.Context, accessToken string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, rpcserver.MetadataAuthorization, "Bearer "+accessToken)
}

// WithService adds a service's token for an audience to the calls of a context.
func (s *Server) WithService(ctx context.Context, t *testing.T, service, audience string) context.Context {
	t.Helper()
	now := clock.System().Now()
	token, err := identity.SignService(s.key, identity.ServiceClaims{
		Issuer: Issuer, Service: service, Audience: audience, IssuedAt: now, ExpiresAt: now.Add(tokenLifetime),
	})
	must(t, err)
	return metadata.AppendToOutgoingContext(ctx, rpcserver.MetadataServiceToken, token)
}

// none contains no revocations.
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
