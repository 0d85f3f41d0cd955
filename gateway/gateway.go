// Package gateway is the one public port of Gatehouse. Clients call it with REST, SSE,
// gRPC-Web, Connect or gRPC. It calls the services with gRPC.
//
//	gw, err := gateway.New(config, deps)   // everything that can fail
//	defer gw.Close()
//	err = gw.Run(ctx, listener)            // until ctx ends, then drains
//
// # The chain
//
// Every request passes the same chain of links, whatever its protocol:
//
//	identify          chain.go      its protocol, its id and the address of its client
//	observe           telemetry.go  a trace, metrics and a log line
//	recoverPanics     chain.go
//	protect           protect.go    security headers
//	cors              cors.go
//	screen            chain.go      ambiguous paths, credentials and encodings (screen.go)
//	limitAddress      ratelimit.go
//
// The links share the state of a request in an exchange (exchange.go), which is in the
// context of the request.
//
// # The protocols
//
// After the chain, the protocol of the request serves it. A protocol implements the
// interface protocol (protocol.go). The first of this list that accepts a request serves
// it:
//
//	grpcWeb       grpcweb.go     application/grpc-web*; becomes gRPC frame by frame
//	nativeGRPC    native.go      application/grpc
//	connectRPC    connectrpc.go  /gatehouse.*; translated to gRPC by a library
//	rest          rest.go        all other requests
//
// The first three are calls of RPCs. They share calls (protocol.go), which finds the RPC
// and refuses callers who may not make a costly call, and proxy (proxy.go), which passes
// a call in the format of gRPC to its service.
//
// REST is grpc-gateway with more checks, except for:
//
//	the site        package site  pages for people, and the OAuth endpoints
//	eventStreams    sse.go        the events of runs, as text/event-stream
//	exports         export.go     the export of an account, as one JSON document
//	uploads         upload.go     files, as multipart/form-data
//
// # Shared parts
//
//	table      methods.go   every public RPC and REST route, from the contracts
//	upstreams  upstream.go  the connections to the services
//	streams    streams.go   the open streams: their number, and their end
//	bodies     bodies.go    the bytes of request bodies in memory
//
// # What it decides
//
// A service is public when its contract says so. The gateway does not expose other
// services at all. It does not decide who may call: it verifies no token and knows no
// role, and each service authenticates the caller itself. But the services trust the
// gateway for the origin of a request. On every call of every protocol it removes the
// headers x-gatehouse-* of the client, and sets the address of the client, the id of the
// request and its own service token (upstream.go).
//
// Errors are faults (platform/fault). The function fail (protocol.go) responds with one
// in the form of the caller's protocol: a problem for REST, a status with details for the
// others.
//
// A stream ends when its run finishes, when a service behind the gateway fails, or when
// the gateway stops. A reader that received no terminal event knows that it is one of
// the last two, reconnects and resumes.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log" //nolint:depguard // net/http needs it
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/gateway/site"
	"github.com/gatehouse/gatehouse/platform/fault"
)

const (
	// headerTimeout is how long a client may take to send its headers.
	headerTimeout = 5 * time.Second
	// idleTimeout closes connections without requests.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes bounds the headers of a request.
	maxHeaderBytes = 32 << 10
	// streamsPerConnection bounds the concurrent requests of one HTTP/2 connection.
	streamsPerConnection = 250
	// connectionTimeout detects HTTP/2 peers that disappeared without closing the
	// connection.
	connectionTimeout = 30 * time.Second
)

// Gateway is the public port. Make one with [New].
type Gateway struct {
	config    Config
	log       *slog.Logger
	upstreams *upstreams
	streams   *streams
	bodies    *bodies
	handler   http.Handler
}

// New builds a gateway. It connects to the services at the first request.
func New(config Config, deps Deps) (*Gateway, error) {
	if err := errors.Join(config.Validate(), deps.check()); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	config = config.withDefaults()
	telemetry, err := newTelemetry(deps)
	if err != nil {
		return nil, err
	}
	upstreams, err := newUpstreams(deps)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	g := &Gateway{
		config: config, log: deps.Log, upstreams: upstreams,
		streams: newStreams(config.RateLimits, telemetry.streams), bodies: newBodies(),
	}
	protocols, err := g.protocols(deps)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("gateway: %w", err), g.Close())
	}
	links := []link{
		// First, so that whatever happens later is logged with an id.
		identify(protocols, config.TrustedProxyHops, deps.Clock),
		telemetry.observe,
		recoverPanics(deps.Log),
		// Before any link that may respond.
		protect(strings.HasPrefix(config.PublicURL, "https://")),
		newOrigins(config.CORSOrigins).cors,
		// A refusal here costs nothing, so it comes before the limiter counts.
		screen,
	}
	if config.RateLimits {
		limit, err := limitAddress(config.AddressQuota)
		if err != nil {
			return nil, errors.Join(err, g.Close())
		}
		links = append(links, limit)
	}
	g.handler = chain(protocols, links...)
	return g, nil
}

// protocols builds the protocols, in the order in which they are asked to accept a
// request.
func (g *Gateway) protocols(deps Deps) (protocols, error) {
	table, err := newTable(g.upstreams)
	if err != nil {
		return nil, err
	}
	calls := &calls{table: table, bodies: g.bodies}
	status := newStatusWriter(deps.Log)
	proxy := newProxy(g.streams, status, deps.Log)
	connect, err := newConnectRPC(calls, proxy, status)
	if err != nil {
		return nil, err
	}
	cookies := site.NewCookies(g.config.PublicURL)
	pages, err := site.New(g.streams.draining, site.Deps{
		PublicURL: g.config.PublicURL, Version: g.config.Version, Local: g.config.Local,
		Auth: g.upstreams.byName["auth"].conn, Cookies: cookies, Fail: fail,
		Record: func(r *http.Request, f *fault.Fault) { exchangeOf(r.Context()).fault = f },
	})
	if err != nil {
		return nil, err
	}
	sessions := browserSessions{origins: newOrigins(g.config.CORSOrigins), cookies: cookies}
	rest, err := newREST(pages, table, g.upstreams, g.streams, g.bodies, sessions, deps.Clock)
	if err != nil {
		return nil, err
	}
	return protocols{
		&grpcWeb{calls: calls, proxy: proxy, status: status},
		&nativeGRPC{calls: calls, proxy: proxy, status: status},
		connect,
		rest,
	}, nil
}

// Close closes the connections to the services. Call it after Run.
func (g *Gateway) Close() error {
	g.streams.drain()
	return g.upstreams.close()
}

// Run serves until ctx ends. Then it ends open streams, which their readers resume at
// another gateway, and waits for the other requests within the drain timeout. It returns
// nil when all of them finished.
func (g *Gateway) Run(ctx context.Context, listener net.Listener) error {
	server := g.server()
	served := make(chan error, 1)
	go func() { served <- server.Serve(watchedListener{listener}) }()
	select {
	case err := <-served:
		return fmt.Errorf("gateway: serve: %w", err)
	case <-ctx.Done():
	}
	g.streams.drain()
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.config.DrainTimeout)
	defer cancel()
	err := server.Shutdown(deadline)
	if err != nil {
		err = errors.Join(fmt.Errorf("gateway: requests were aborted: %w", err), server.Close())
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("gateway: serve: %w", ended))
	}
	return err
}

// server returns the server for HTTP/1 and HTTP/2. The listener may use TLS. The server
// has no timeout for whole requests, because streams would exceed it. Reads and writes
// have their own deadlines.
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
		ErrorLog: serverLog(g.log),
	}
}

// serverLog returns the log of net/http. Its messages are mostly about clients, such as
// failed handshakes and broken connections.
func serverLog(logger *slog.Logger) *log.Logger {
	return slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
}
