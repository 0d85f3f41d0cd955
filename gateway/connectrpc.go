package gateway

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"

	"connectrpc.com/vanguard"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// connectRPC is Connect, with JSON or binary messages. The library vanguard translates
// a call to gRPC, which the proxy passes through.
type connectRPC struct {
	calls  *calls
	status statusWriter
	// handler translates the calls of methods that need a credential.
	handler http.Handler
	// public translates the calls of methods that need none, within tighter limits.
	public http.Handler
}

func newConnectRPC(calls *calls, proxy *proxy, status statusWriter) (*connectRPC, error) {
	c := &connectRPC{calls: calls, status: status}
	var err error
	if c.handler, err = newTranscoder(calls.table, proxy, BodyLimit, maxValues); err != nil {
		return nil, err
	}
	c.public, err = newTranscoder(calls.table, proxy, rpcserver.PublicLimit, maxPublicValues)
	return c, err
}

// newTranscoder returns a handler that translates Connect to gRPC. A message may have
// at most limit bytes after decompression, and at most mostValues values. The limit of
// vanguard itself is set too, because its default is 4 GiB. It also applies to
// responses, so it cannot be lower than BodyLimit.
func newTranscoder(table *table, proxy *proxy, limit int64, mostValues int) (http.Handler, error) {
	var services []*vanguard.Service
	known := map[string]bool{}
	for _, m := range table.methods {
		if known[m.service] {
			continue
		}
		known[m.service] = true
		services = append(services, vanguard.NewService(m.service, proxy,
			vanguard.WithTargetProtocols(vanguard.ProtocolGRPC),
			vanguard.WithTargetCodecs(vanguard.CodecProto),
			// Decompressed here, within the limit, so that no service receives a
			// decompression bomb.
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

// name implements [protocol].
func (*connectRPC) name() string { return "connect" }

// accepts implements [protocol]. gRPC and gRPC-Web, which have the same paths, come
// before it in the list of protocols.
func (*connectRPC) accepts(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, rpcPrefix) }

// fail implements [protocol].
func (c *connectRPC) fail(w http.ResponseWriter, r *http.Request, f *fault.Fault) {
	c.status.write(w, r, f)
}

// unknownMethod implements [messageFormat]. To a client of Connect, the path does not
// exist.
func (*connectRPC) unknownMethod() faultv1.Reason { return faultv1.Reason_REASON_ROUTE_NOT_FOUND }

// decode implements [messageFormat].
func (*connectRPC) decode(*http.Request) {}

// costly implements [messageFormat].
func (*connectRPC) costly(w http.ResponseWriter, r *http.Request, m *method) (bool, error) {
	switch kind := contentType(r); {
	case r.Method == http.MethodGet:
		return len(r.URL.RawQuery) > costlySize, nil
	case m.uploads: // its messages are bounded one by one, but JSON is decoded here
		return strings.Contains(kind, "json"), nil
	case strings.HasPrefix(kind, "application/connect+"):
		return grpcFormat{}.costly(w, r, m) // the frames are the same
	default:
		return costlyUnframed(w, r)
	}
}

// compression implements [messageFormat].
func (*connectRPC) compression(h http.Header) string { return h.Get("Connect-Content-Encoding") }

// serve implements [protocol]. The protocol allows a call without the version header or
// without a message, as curl sends it. vanguard would take the former for REST.
func (c *connectRPC) serve(w http.ResponseWriter, r *http.Request) {
	const version = "Connect-Protocol-Version"
	release, admitted := c.calls.admit(w, r, c)
	if !admitted {
		return
	}
	defer release()
	if r.Method == http.MethodGet && !readableQuery(r) {
		fail(w, r, unreadable())
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
	refusal, handler := &refusalWriter{ResponseWriter: w}, c.handler
	if m := exchangeOf(r.Context()).method; m.public && r.Body != nil {
		handler = c.public
		r = r.WithContext(r.Context()) // a copy, whose body is replaced
		r.Body = http.MaxBytesReader(w, r.Body, m.bodyLimit()+framePrefix)
	}
	handler.ServeHTTP(refusal, r)
	if refusal.status != 0 {
		x := exchangeOf(r.Context())
		x.fault = refusal.fault()
		// The request is not a call of the protocol, so the response is a problem.
		fault.WriteProblem(w, x.fault, r.URL.Path, x.requestID)
	}
}

func unreadable() *fault.Fault {
	return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "the message cannot be read")
}

// readableQuery reports whether the message of a GET has the encoding that the query
// states. vanguard would report an internal error for another one.
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

// refusalWriter drops the plain text that vanguard writes when a request is not a call
// of the protocol, and keeps its status.
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
	return w.ResponseWriter.Write(p)
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
