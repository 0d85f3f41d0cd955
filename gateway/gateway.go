// Package gateway is the one public port of Gatehouse. It speaks every protocol
// that clients speak, to the services, which speak gRPC alone.
//
//	gw, err := gateway.New(config, deps)   // everything that may fail
//	defer gw.Close()
//	err = gw.Run(ctx, listener)            // until ctx ends, then drains
//
// A request passes one chain, the same for every protocol (chain.go):
//
//	request id → trace, metrics, log → recover → security headers → CORS →
//	screen (paths, credentials, header count) → limit by address → route
//
// The route decides who carries it on:
//
//	/gatehouse.*   application/grpc         native.go    passed through as HTTP/2
//	               application/grpc-web*    grpcweb.go   reframed, then passed through
//	               anything else            connectrpc.go translated, then passed through
//	/v1, /.well-known  JSON                 rest.go      grpc-gateway, made strict
//	               text/event-stream        sse.go       run events
//	               multipart/form-data      upload.go    files
//	               navigation               provider.go  sign-in by identity providers
//	/, /docs, /openapi.json, /version       documents.go for people
//	/account/*                              forms.go     where links in mails lead
//
// What may be reached is read from the contracts (methods.go): a service is
// public when its proto says so, and everything else does not exist here. Who
// may call is not decided here at all. The gateway checks no token and knows no
// role; each service verifies the caller itself. What the gateway vouches for
// is the origin: it strips whatever a client sends as x-gatehouse-*, and sets
// the client's address, the request's id and its own service token
// (upstream.go), on every call of every protocol.
//
// Failures are faults (platform/fault) and are told in the caller's protocol by
// one function (errors.go): problem details to REST, a status with details to
// the others.
//
// Streams end in three ways, and a reader can tell them apart only by whether
// it saw a terminal event: the run ended; something behind the gateway broke;
// the gateway stops. In the last two the reader comes back and goes on.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	"github.com/gatehouse/gatehouse/gateway/pages"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/limit"
	"github.com/gatehouse/gatehouse/platform/rpcclient"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// headerTimeout is how long a client may take to send its headers.
	headerTimeout = 5 * time.Second
	// idleTimeout closes connections that nobody uses.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes bounds the headers of a request.
	maxHeaderBytes = 32 << 10
	// streamsPerConnection bounds what one HTTP/2 connection asks at once.
	streamsPerConnection = 250
	// connectionTimeout finds HTTP/2 peers that are gone without a word.
	connectionTimeout = 30 * time.Second
)

// errDraining is the cause with which streams end when the gateway stops.
var errDraining = errors.New("the gateway is stopping")

// Gateway is the public port. Make one with [New].
type Gateway struct {
	config    Config
	deps      Deps
	origins   map[string]struct{}
	limiter   *limit.Limiter // nil when rates are not limited
	streams   *streamCounter
	bodies    *bodies
	telemetry *telemetry
	upstreams []*upstream
	backends  map[string]*upstream // by name
	auth      *upstream
	chat      *upstream
	table     *table
	rest      *runtime.ServeMux
	proxy     *httputil.ReverseProxy
	connect   http.Handler
	// connectPublic serves the methods that anybody may call.
	connectPublic http.Handler
	site          pages.Site
	documents     *documents
	forms         *forms
	oauth         map[string]endpoint // by path
	rpcErrors     *connect.ErrorWriter
	handler       http.Handler
	// readerTimeout cuts readers of streams that take nothing.
	readerTimeout time.Duration

	draining   context.Context //nolint:containedctx // its end is the signal
	beginDrain context.CancelFunc
}

// New builds a gateway. Nothing is dialed before the first request.
func New(config Config, deps Deps) (*Gateway, error) {
	if err := errors.Join(config.Validate(), deps.check()); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	g := &Gateway{
		config:        config.withDefaults(),
		deps:          deps,
		origins:       map[string]struct{}{},
		streams:       &streamCounter{open: map[streamKey]int{}},
		bodies:        newBodies(),
		forms:         newForms(),
		rpcErrors:     connect.NewErrorWriter(),
		readerTimeout: readerTimeout,
	}
	for _, origin := range config.CORSOrigins {
		g.origins[origin] = struct{}{}
	}
	g.draining, g.beginDrain = context.WithCancel(context.Background()) //nolint:forbidigo // it is the gateway's own, and ends with Close
	if err := g.build(); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// build wires what may fail, in the order in which it needs each other.
func (g *Gateway) build() (err error) {
	if g.telemetry, err = newTelemetry(g.deps.Tracer, g.deps.Meter); err != nil {
		return err
	}
	if g.config.RateLimits {
		if g.limiter, err = limit.New(g.config.AddressQuota); err != nil {
			return fmt.Errorf("gateway: %w", err)
		}
	}
	if err = g.connectUpstreams(); err != nil {
		return err
	}
	if g.rest, err = g.newREST(); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	g.proxy = g.newProxy()
	if g.connect, err = g.newConnect(BodyLimit, maxValues); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	if g.connectPublic, err = g.newConnect(rpcserver.PublicLimit, maxPublicValues); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	g.site = pages.Site{Version: g.config.Version, PublicURL: strings.TrimRight(g.config.PublicURL, "/"), Local: g.config.Local}
	if g.documents, err = newDocuments(g.draining, g.site); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	g.oauth = g.oauthEndpoints()
	g.handler = g.chain(http.HandlerFunc(g.dispatch))
	return nil
}

// connectUpstreams prepares the services and reads which of them serves what.
func (g *Gateway) connectUpstreams() error {
	dial := func(peer rpcclient.Peer) (*upstream, error) {
		u, err := newUpstream(peer, g.deps.Tokens)
		if err == nil {
			g.upstreams = append(g.upstreams, u)
		}
		return u, err
	}
	auth, authErr := dial(g.deps.Auth)
	management, managementErr := dial(g.deps.Management)
	chat, chatErr := dial(g.deps.Chat)
	if err := errors.Join(authErr, managementErr, chatErr); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	g.auth, g.chat = auth, chat
	g.backends = map[string]*upstream{"auth": auth, "management": management, "chat": chat}
	var err error
	if g.table, err = newTable(g.backends); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}

// Handler returns the whole gateway as a handler, for embedding and tests.
func (g *Gateway) Handler() http.Handler { return g.handler }

// Close gives back the connections to the services. Call it after Run.
func (g *Gateway) Close() error {
	g.beginDrain()
	var problems []error
	for _, u := range g.upstreams {
		problems = append(problems, u.close())
	}
	return errors.Join(problems...)
}

// Run serves until ctx ends. Then it ends open streams, which their readers
// resume elsewhere, waits for the other requests within the drain timeout, and
// returns nil if all of them could finish.
func (g *Gateway) Run(ctx context.Context, listener net.Listener) error {
	server := g.server()
	served := make(chan error, 1)
	go func() { served <- server.Serve(watchedListener{listener}) }()
	select {
	case err := <-served:
		return fmt.Errorf("gateway: serve: %w", err)
	case <-ctx.Done():
	}
	g.beginDrain()
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.config.DrainTimeout)
	defer cancel()
	err := server.Shutdown(deadline)
	if err != nil {
		err = errors.Join(fmt.Errorf("gateway: requests were cut: %w", err), server.Close())
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("gateway: serve: %w", ended))
	}
	return err
}

// server speaks HTTP/1 and HTTP/2, with TLS where the listener has it. It sets
// no timeout on whole requests, which streams would run into; reading and
// writing have deadlines of their own.
func (g *Gateway) server() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           endAmbiguous(g.handler),
		ConnContext:       withConn,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: streamsPerConnection,
			SendPingTimeout:      connectionTimeout,
			WriteByteTimeout:     connectionTimeout,
		},
		ErrorLog: serverLog(g.deps.Log),
	}
}

// untilDrain returns a context that also ends when the gateway stops. Streams
// run under it; other requests are waited for instead.
func (g *Gateway) untilDrain(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	unbind := context.AfterFunc(g.draining, func() { cancel(errDraining) })
	return ctx, func() {
		unbind()
		cancel(context.Canceled)
	}
}

// drainError returns err, or what to say instead when it came from the drain.
func drainError(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errDraining) {
		return fault.Wrap(err, faultv1.Reason_REASON_UNAVAILABLE, "this gateway is stopping").
			WithRetryAfter(time.Second)
	}
	return err
}
