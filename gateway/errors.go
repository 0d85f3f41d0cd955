package gateway

import (
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/fault"
)

// statusClientGone is what nginx made customary for a client that went away.
const statusClientGone = 499

// fail answers a request with a fault, in the language that the client speaks:
// problem details to REST, a status to gRPC, gRPC-Web and Connect.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r.Context())
	f := fault.From(err)
	x.fault = f
	switch x.protocol {
	case protocolREST:
		if x.bodyField != "" {
			f = f.Below(x.bodyField)
		}
		fault.WriteProblem(w, f, r.URL.Path, x.requestID)
	case protocolGRPCWeb:
		web := newWebWriter(w, r)
		g.writeStatus(web, asGRPC(r), f)
		web.finish()
	default:
		g.writeStatus(w, r, f)
	}
}

// writeStatus answers in one of the RPC protocols. Headers that were meant for
// an answer of another kind are taken back first.
func (g *Gateway) writeStatus(w http.ResponseWriter, r *http.Request, f *fault.Fault) {
	w.Header().Del("Content-Length")
	if err := g.rpcErrors.Write(w, r, connectError(f)); err != nil {
		g.deps.Log.DebugContext(r.Context(), "the client went away before its error", "error", err)
	}
}

// connectError is the fault as connect's error type, with the same details
// that the services send.
func connectError(f *fault.Fault) *connect.Error {
	st := fault.ToStatus(f)
	out := connect.NewError(connect.Code(st.Code()), errText(st.Message()))
	for _, detail := range st.Details() {
		message, ok := detail.(proto.Message)
		if !ok {
			continue
		}
		if d, err := connect.NewErrorDetail(message); err == nil {
			out.AddDetail(d)
		}
	}
	return out
}

// errText is an error that is its text alone.
type errText string

// Error implements error.
func (e errText) Error() string { return string(e) }
