package gateway

import (
	"log" //nolint:depguard // what net/http takes
	"log/slog"
	"net/http"
	"strings"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// The protocols, as the log names them.
const (
	protocolREST    = "rest"
	protocolGRPC    = "grpc"
	protocolGRPCWeb = "grpc-web"
	protocolConnect = "connect"
)

// rpcPrefix begins the path of every RPC of ours; no REST route begins so.
const rpcPrefix = "/gatehouse."

// protocolOf tells a request's protocol by its path and content type.
func protocolOf(r *http.Request) string {
	contentType := strings.ToLower(r.Header.Get("Content-Type"))
	switch {
	case strings.HasPrefix(contentType, "application/grpc-web"):
		return protocolGRPCWeb
	case strings.HasPrefix(contentType, "application/grpc"):
		return protocolGRPC
	case strings.HasPrefix(r.URL.Path, rpcPrefix):
		return protocolConnect
	default:
		return protocolREST
	}
}

// dispatch hands a request to what carries its protocol.
func (g *Gateway) dispatch(w http.ResponseWriter, r *http.Request) {
	x := exchangeOf(r.Context())
	if x.protocol == protocolREST {
		if !g.serveDocument(w, r) && !g.serveForm(w, r) && !g.serveOAuth(w, r) {
			g.serveREST(w, r)
		}
		return
	}
	known, ok := g.table.methods[r.URL.Path]
	if !ok {
		g.fail(w, r, unknownMethod(x.protocol))
		return
	}
	x.method, x.route = known, known.fullName
	if err := g.admit(w, r, known); err != nil {
		g.fail(w, r, err)
		return
	}
	if known.uploads {
		r.Body = newFrames(r)
	} else {
		x.releaseBody = g.bodies.count(r)
		defer x.release()
	}
	switch x.protocol {
	case protocolGRPC:
		g.serveGRPC(w, r)
	case protocolGRPCWeb:
		g.serveGRPCWeb(w, r)
	default:
		g.serveConnect(w, r)
	}
}

// unknownMethod is the fault for an RPC that is not exposed, whether or not it
// exists. gRPC has a code for it; to the rest it is an unknown path.
func unknownMethod(protocol string) error {
	reason := faultv1.Reason_REASON_ROUTE_NOT_FOUND
	if protocol != protocolConnect {
		reason = faultv1.Reason_REASON_METHOD_NOT_ALLOWED // UNIMPLEMENTED
	}
	return fault.New(reason, "no such method")
}

// serverLog is where net/http complains, mostly about clients: handshakes that
// failed, connections that broke.
func serverLog(logger *slog.Logger) *log.Logger {
	return slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
}
