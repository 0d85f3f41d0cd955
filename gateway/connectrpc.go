package gateway

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"

	"connectrpc.com/vanguard"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// newConnect returns the handler of Connect calls, JSON and binary: vanguard
// translates them to gRPC, and the proxy carries them on. A message may unpack to
// at most limit bytes and hold at most mostValues values. vanguard's own limit is
// set too, because its default is 4 GiB; it also holds for responses, so it
// cannot be lower.
func (g *Gateway) newConnect(limit int64, mostValues int) (http.Handler, error) {
	var services []*vanguard.Service
	known := map[string]bool{}
	for _, m := range g.table.methods {
		if known[m.service] {
			continue
		}
		known[m.service] = true
		services = append(services, vanguard.NewService(m.service, http.HandlerFunc(g.passThrough),
			vanguard.WithTargetProtocols(vanguard.ProtocolGRPC),
			vanguard.WithTargetCodecs(vanguard.CodecProto),
			// Unpacked here, under the limit, so that no service meets a bomb.
			vanguard.WithNoTargetCompression(),
			vanguard.WithMaxMessageBufferBytes(BodyLimit),
		))
	}
	transcoder, err := vanguard.NewTranscoder(services,
		vanguard.WithCompression(vanguard.CompressionGzip, newGzip, newGunzip(limit)),
		vanguard.WithCodec(newJSONCodec(mostValues)))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return transcoder, nil
}

// serveConnect translates a Connect call. The version header is optional in
// the protocol, and a call by hand has none; vanguard would take it for REST. So
// may the message be absent, as on REST routes.
func (g *Gateway) serveConnect(w http.ResponseWriter, r *http.Request) {
	const version = "Connect-Protocol-Version"
	if r.Method == http.MethodGet && !readableQuery(r) {
		g.fail(w, r, unreadable())
		return
	}
	if r.Method == http.MethodPost && r.Header.Get(version) == "" {
		r = r.Clone(r.Context())
		r.Header.Set(version, "1")
	}
	if r.Method == http.MethodPost && r.ContentLength == 0 && isJSON(r.Header.Get("Content-Type")) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader("{}")), 2
		r.Header.Del("Content-Encoding")
	}
	refusal, handler := &refusalWriter{ResponseWriter: w}, g.connect
	if m := exchangeOf(r.Context()).method; m.public && r.Body != nil {
		handler = g.connectPublic
		r = r.WithContext(r.Context()) // its body is changed
		r.Body = http.MaxBytesReader(w, r.Body, m.bodyLimit()+framePrefix)
	}
	handler.ServeHTTP(refusal, r)
	if refusal.status != 0 {
		x := exchangeOf(r.Context())
		x.fault = refusal.fault()
		// By the status alone: it is no call that its client could take an error of.
		fault.WriteProblem(w, x.fault, r.URL.Path, x.requestID)
	}
}

func unreadable() *fault.Fault {
	return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "the message cannot be read")
}

// readableQuery tells whether the message of a GET is spelled as it says.
// vanguard would take it for a fault of its own.
func readableQuery(r *http.Request) bool {
	query := r.URL.Query()
	switch query.Get("base64") {
	case "", "0":
		return r.ContentLength == 0
	case "1":
		_, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(query.Get("message"), "="))
		return err == nil && r.ContentLength == 0
	default:
		return false
	}
}

// refusalWriter holds back what vanguard says, in a library's plain text, of a
// request that is no call of the protocol.
type refusalWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (w *refusalWriter) WriteHeader(status int) {
	if status >= http.StatusBadRequest && strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		w.status = status
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *refusalWriter) Write(p []byte) (int, error) {
	if w.status != 0 {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p) //nolint:wrapcheck // io.Writer: the caller compares the error
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *refusalWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *refusalWriter) fault() *fault.Fault {
	switch w.status {
	case http.StatusNotFound:
		return fault.New(faultv1.Reason_REASON_ROUTE_NOT_FOUND, "no call has this form")
	case http.StatusMethodNotAllowed:
		return fault.New(faultv1.Reason_REASON_METHOD_NOT_ALLOWED, "this call has %s", w.Header().Get("Allow"))
	case http.StatusUnsupportedMediaType:
		return fault.New(faultv1.Reason_REASON_UNSUPPORTED_MEDIA_TYPE, "this call reads JSON and protobuf, plain or compressed with gzip")
	default:
		return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "the request cannot be read")
	}
}
