package gateway

import (
	"net/http"
	"strings"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const grpcType = "application/grpc"

// grpcFormat is the message format of gRPC: each message follows a prefix with its
// length.
type grpcFormat struct{}

// unknownMethod implements [messageFormat]. The reason becomes the code UNIMPLEMENTED.
func (grpcFormat) unknownMethod() faultv1.Reason { return faultv1.Reason_REASON_METHOD_NOT_ALLOWED }

// decode implements [messageFormat].
func (grpcFormat) decode(*http.Request) {}

// costly implements [messageFormat].
func (grpcFormat) costly(w http.ResponseWriter, r *http.Request, m *method) (bool, error) {
	if m.uploads {
		return false, nil // its messages are bounded one by one
	}
	defer httpio.ReadDeadline(w, httpio.BodyTimeout)()
	return costlyFrame(r)
}

// compression implements [messageFormat].
func (grpcFormat) compression(h http.Header) string { return h.Get("Grpc-Encoding") }

// nativeGRPC is gRPC over HTTP/2. A call is passed through to its service, frame by
// frame.
type nativeGRPC struct {
	grpcFormat
	calls  *calls
	proxy  *proxy
	status statusWriter
}

// name implements [protocol].
func (*nativeGRPC) name() string { return "grpc" }

// accepts implements [protocol]. gRPC-Web, whose content type has the same beginning,
// comes before it in the list of protocols.
func (*nativeGRPC) accepts(r *http.Request) bool {
	return strings.HasPrefix(contentType(r), grpcType)
}

// serve implements [protocol].
func (p *nativeGRPC) serve(w http.ResponseWriter, r *http.Request) {
	release, admitted := p.calls.admit(w, r, p)
	if !admitted {
		return
	}
	defer release()
	if r.ProtoMajor < 2 {
		fail(w, r, fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "gRPC needs HTTP/2"))
		return
	}
	if err := limitMessage(w, r); err != nil {
		fail(w, r, err)
		return
	}
	p.proxy.ServeHTTP(w, r)
}

// fail implements [protocol].
func (p *nativeGRPC) fail(w http.ResponseWriter, r *http.Request, f *fault.Fault) {
	p.status.write(w, r, f)
}

// asGRPC returns a copy of a request as gRPC. The proxy handles it for another
// protocol.
func asGRPC(r *http.Request) *http.Request {
	out := r.Clone(r.Context())
	out.Method = http.MethodPost
	out.Header.Set("Content-Type", grpcType)
	return out
}
