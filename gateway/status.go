package gateway

import (
	"log/slog"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/fault"
)

// statusWriter responds with a status of gRPC or Connect, with details.
type statusWriter struct {
	errors *connect.ErrorWriter
	log    *slog.Logger
}

func newStatusWriter(log *slog.Logger) statusWriter {
	return statusWriter{errors: connect.NewErrorWriter(), log: log}
}

// write responds with a fault, in the protocol that the content type of the request
// names. It removes a length that was set for another response.
func (s statusWriter) write(w http.ResponseWriter, r *http.Request, f *fault.Fault) {
	w.Header().Del("Content-Length")
	if err := s.errors.Write(w, r, connectError(f)); err != nil {
		s.log.DebugContext(r.Context(), "the client closed the connection before its error was sent", "error", err)
	}
}

// connectError returns a fault as an error of the connect library, with the details
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

// errText is an error that is only a text.
type errText string

// Error implements error.
func (e errText) Error() string { return string(e) }
