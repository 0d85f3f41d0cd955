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

	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// export serves POST /v1/me:export: a stream of records as one JSON document,
// written as they come. A refusal comes before the first of them, and is a problem;
// what breaks later cuts the answer off, so that nobody takes half for the whole.
func (g *Gateway) export(mux *runtime.ServeMux) runtime.HandlerFunc {
	client := chatv1.NewExportServiceClient(g.chat.conn)
	return func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
		leave, refused := g.openStream(r)
		if refused != nil {
			g.fail(w, r, refused)
			return
		}
		defer leave()
		ctx, cancel := g.untilDrain(r.Context())
		defer cancel()
		x := exchangeOf(ctx)
		ctx, err := runtime.AnnotateContext(ctx, mux, r, x.method.fullName, runtime.WithHTTPPathPattern(x.route))
		if err != nil {
			g.fail(w, r, err)
			return
		}
		stream, err := client.ExportMe(ctx, &chatv1.ExportMeRequest{})
		if err != nil {
			g.fail(w, r, drainError(ctx, err))
			return
		}
		// The first record accepts the request. Headers do not, because a
		// refusal has headers too.
		first, err := stream.Recv()
		if header, headerErr := stream.Header(); headerErr == nil {
			serviceHeaders(w.Header(), header)
		}
		if err != nil {
			g.fail(w, r, drainError(ctx, err))
			return
		}
		x.release() // the answer may take long
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Disposition", `attachment; filename="gatehouse-export.json"`)
		if g.copyRecords(w, first, stream) != nil {
			panic(http.ErrAbortHandler) // net/http's own way to cut a connection
		}
	}
}

// copyRecords writes records until there are no more.
func (g *Gateway) copyRecords(w http.ResponseWriter, record *chatv1.ExportRecord, stream grpc.ServerStreamingClient[chatv1.ExportRecord]) error {
	controller := http.NewResponseController(w)
	defer func() { _ = controller.SetWriteDeadline(time.Time{}) }()
	var out bytes.Buffer
	out.WriteString(`{"records":[`)
	for {
		encoded, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(record)
		if err != nil {
			return err //nolint:wrapcheck // it only cuts the answer off
		}
		if err := json.Compact(&out, encoded); err != nil {
			return err //nolint:wrapcheck // as above
		}
		record, err = stream.Recv()
		if err != nil && !errors.Is(err, io.EOF) {
			return err //nolint:wrapcheck // as above
		}
		last := err != nil
		if last {
			out.WriteString("]}\n")
		} else {
			out.WriteString(",\n")
		}
		// A connection that knows no deadlines is bounded by the request's end.
		_ = controller.SetWriteDeadline(socketDeadline(g.readerTimeout))
		if _, err := out.WriteTo(w); err != nil || last {
			return err //nolint:wrapcheck // as above
		}
	}
}
