package gateway

import (
	"net/http"
	"strings"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// protocol is one way in which clients call the services.
type protocol interface {
	// name returns the name of the protocol in the log.
	name() string
	// accepts reports whether a request uses the protocol.
	accepts(r *http.Request) bool
	// serve handles a request that uses the protocol.
	serve(w http.ResponseWriter, r *http.Request)
	// fail responds with a fault, in the form that clients of the protocol read.
	fail(w http.ResponseWriter, r *http.Request, f *fault.Fault)
}

// protocols is a list of protocols. A request uses the first that accepts it.
type protocols []protocol

// of returns the protocol of a request. The last protocol of the list accepts every
// request.
func (p protocols) of(r *http.Request) protocol {
	for _, candidate := range p {
		if candidate.accepts(r) {
			return candidate
		}
	}
	return p[len(p)-1]
}

// ServeHTTP implements [http.Handler]. The chain has found the protocol.
func (p protocols) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	exchangeOf(r.Context()).protocol.serve(w, r)
}

// fail responds to a request with an error, in the form of its protocol.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r.Context())
	x.fault = fault.From(err)
	x.protocol.fail(w, r, x.fault)
}

// rpcPrefix begins the path of every RPC of the services. No REST route begins with
// it.
const rpcPrefix = "/gatehouse."

// contentType returns the content type of a request in lower case.
func contentType(r *http.Request) string { return strings.ToLower(r.Header.Get("Content-Type")) }

// messageFormat is how a protocol of RPCs carries messages in a request. gRPC,
// gRPC-Web and Connect implement it.
type messageFormat interface {
	// unknownMethod returns the reason for a path that names no public RPC, whether or
	// not an internal one has the name.
	unknownMethod() faultv1.Reason
	// decode removes an encoding of the whole body, such as base64.
	decode(r *http.Request)
	// costly reports whether a message may cost much before its service can authorize
	// the call: it is large, or it is decoded here. It may read the beginning of the
	// body, which it puts back.
	costly(w http.ResponseWriter, r *http.Request, m *method) (bool, error)
	// compression returns how the messages of a stream are compressed, or "".
	compression(h http.Header) string
}

// calls admits the calls of the protocols whose paths name RPCs.
type calls struct {
	table  *table
	bodies *bodies
}

// admit finds the RPC of a call, and refuses a call whose message costs much to decode
// when the caller may not make it. It reports whether the call was admitted; if not,
// it has responded. The caller calls release when the request has been handled.
func (c *calls) admit(w http.ResponseWriter, r *http.Request, format messageFormat) (release func(), admitted bool) {
	m, found := c.table.methods[r.URL.Path]
	if !found {
		fail(w, r, fault.New(format.unknownMethod(), "no such method"))
		return nil, false
	}
	x := exchangeOf(r.Context())
	x.method, x.route = m, m.fullName
	if err := c.check(w, r, m, format); err != nil {
		fail(w, r, err)
		return nil, false
	}
	if m.uploads {
		r.Body = newFrames(r, format.compression(r.Header))
	} else {
		x.releaseBody = c.bodies.count(r)
	}
	return x.release, true
}

func (c *calls) check(w http.ResponseWriter, r *http.Request, m *method, format messageFormat) error {
	// A client over HTTP/2 may stream for long, and receives the response while it
	// does.
	if err := refuseAnonymous(w, r, m, r.ProtoMajor < 2); err != nil {
		return err
	}
	format.decode(r)
	if m.public {
		return nil // bounded where its message is read
	}
	costly := isPacked(r.Header)
	if !costly {
		var err error
		if costly, err = format.costly(w, r, m); err != nil {
			return err
		}
	}
	if !costly {
		return nil
	}
	return mayCall(w, r, m)
}
