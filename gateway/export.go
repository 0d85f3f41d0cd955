package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// exports serves POST /v1/me:export. It sends a stream of records as one JSON document,
// each when it arrives.
type exports struct {
	mux     *runtime.ServeMux
	conn    grpc.ClientConnInterface // to chat
	streams *streams
}

// serve responds with the records of the caller. A refusal comes before the first
// record, and is a problem. A later failure closes the connection, so that the client
// sees that the document is incomplete.
func (e *exports) serve(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	ctx, leave, err := e.streams.enter(r)
	if err != nil {
		fail(w, r, err)
		return
	}
	defer leave()
	x := exchangeOf(ctx)
	ctx, err = runtime.AnnotateContext(ctx, e.mux, r, x.method.fullName, runtime.WithHTTPPathPattern(x.route))
	if err != nil {
		fail(w, r, err)
		return
	}
	stream, err := chatv1.NewExportServiceClient(e.conn).ExportMe(ctx, &chatv1.ExportMeRequest{})
	if err != nil {
		fail(w, r, drainError(ctx, err))
		return
	}
	// The first record accepts the request. Headers do not, because a refusal has headers
	// too.
	first, err := stream.Recv()
	if header, headerErr := stream.Header(); headerErr == nil {
		serviceHeaders(w.Header(), header)
	}
	if err != nil {
		fail(w, r, drainError(ctx, err))
		return
	}
	x.release() // the response may take long
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="gatehouse-export.json"`)
	if e.copyRecords(w, first, stream) != nil {
		panic(http.ErrAbortHandler) // how a handler tells net/http to close the connection
	}
}

// copyRecords writes records until the stream ends.
func (e *exports) copyRecords(w http.ResponseWriter, record *chatv1.ExportRecord, stream grpc.ServerStreamingClient[chatv1.ExportRecord]) error {
	controller := http.NewResponseController(w)
	defer func() { _ = controller.SetWriteDeadline(time.Time{}) }()
	var out bytes.Buffer
	out.WriteString(`{"records":[`)
	for {
		encoded, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(record)
		if err != nil {
			return err
		}
		if err := json.Compact(&out, encoded); err != nil {
			return err
		}
		record, err = stream.Recv()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		last := err != nil
		if last {
			out.WriteString("]}\n")
		} else {
			out.WriteString(",\n")
		}
		// A connection without deadlines is bounded by the end of the request.
		_ = controller.SetWriteDeadline(httpio.SocketDeadline(e.streams.readerTimeout))
		if _, err := out.WriteTo(w); err != nil || last {
			return err
		}
	}
}
