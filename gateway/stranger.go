package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
)

// A service authorizes a call before it decodes the message. JSON is decoded
// here, where no token is verified, so the same order needs two rules:
//
//   - what is sent without any credential to a route that needs one is dropped
//     undecoded, with the answer that the service would give;
//   - before a message that costs much to hold or to decode, the service is asked
//     whether the caller may make the call at all.
//
// What anybody may send is small instead (rpcserver.PublicLimit).

// costlySize is how large a message may be to be held and decoded for a caller that
// no service knows yet, in bytes. To ask the service costs about as much.
const costlySize = 8 << 10

// hasCredential tells whether a request holds a credential, good or bad.
func hasCredential(r *http.Request) bool { return r.Header.Get("Authorization") != "" }

// admit refuses an RPC whose message costs more than its caller may cause.
func (g *Gateway) admit(w http.ResponseWriter, r *http.Request, m *method) error {
	if err := refuseStranger(w, r, m); err != nil {
		return err
	}
	if exchangeOf(r.Context()).protocol == protocolGRPCWeb && isWebText(r) {
		// The decoder is strict about padding only within what it reads at once.
		text := bufio.NewReader(base64.NewDecoder(base64.StdEncoding, r.Body))
		r.Body = prefixedBody{Reader: text, Closer: r.Body}
	}
	if m.public {
		return nil // bounded where its message is read
	}
	costly, err := costlyMessage(w, r, m)
	if err != nil || !costly {
		return err
	}
	return g.mayCall(w, r, m)
}

// costlyMessage tells whether what a caller sent may cost much before its service can
// authorize the call: it is compressed, or it is large. A large message is held until
// all of it has come, and a text of JSON is decoded here.
func costlyMessage(w http.ResponseWriter, r *http.Request, m *method) (bool, error) {
	if isPacked(r.Header) {
		return true, nil
	}
	connectCall := exchangeOf(r.Context()).protocol == protocolConnect
	kind := strings.ToLower(r.Header.Get("Content-Type"))
	switch {
	case connectCall && r.Method == http.MethodGet:
		return len(r.URL.RawQuery) > costlySize, nil
	case m.uploads: // its messages are bounded one by one
		return connectCall && strings.Contains(kind, "json"), nil
	case !connectCall || strings.HasPrefix(kind, "application/connect+"):
		defer readDeadline(w, bodyTimeout)()
		return costlyFrame(r)
	case r.ContentLength >= 0:
		return r.ContentLength > costlySize, nil
	}
	// Many clients do not say how long a message is. So see whether it is long.
	defer readDeadline(w, bodyTimeout)()
	head, err := io.ReadAll(io.LimitReader(r.Body, costlySize+1))
	if err != nil {
		return false, unreadableBody(err)
	}
	r.Body = prefixedBody{Reader: io.MultiReader(bytes.NewReader(head), r.Body), Closer: r.Body}
	return len(head) > costlySize, nil
}

// prefixedBody is a body whose beginning was read before.
type prefixedBody struct {
	io.Reader
	io.Closer
}

// refuseStranger refuses a call of a method that needs a credential when there is
// none. The message is read, so that its sender sees the answer, and dropped. A
// REST request without a body has nothing to decode and is left to the service.
func refuseStranger(w http.ResponseWriter, r *http.Request, m *method) error {
	if m.public || hasCredential(r) {
		return nil
	}
	rest := exchangeOf(r.Context()).protocol == protocolREST
	if rest && !hasBody(r) {
		return nil
	}
	// An RPC client over HTTP/2 may stream for long, and sees the answer meanwhile.
	if rest || r.ProtoMajor < 2 {
		if err := dropBody(w, r); err != nil {
			return err
		}
	}
	return identity.Unauthenticated() //nolint:wrapcheck // a fault
}

func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

// dropBody reads a body to its end, or until it is too large, and keeps nothing.
func dropBody(w http.ResponseWriter, r *http.Request) error {
	if !hasBody(r) {
		return nil
	}
	if r.ContentLength > BodyLimit {
		return tooLarge(BodyLimit)
	}
	defer readDeadline(w, bodyTimeout)()
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, BodyLimit)); err != nil {
		return bodyError(err)
	}
	return nil
}

// mayCall asks the service of a method whether the caller may call it. It
// returns what the call itself would return to somebody who may not.
func (g *Gateway) mayCall(w http.ResponseWriter, r *http.Request, m *method) error {
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx,
		rpcserver.MetadataAuthorization, r.Header.Get("Authorization"), rpcserver.MetadataAuthorizeOnly, "1")
	stream, err := m.upstream.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, m.fullName)
	if err != nil {
		return err //nolint:wrapcheck // a status, which fault.From understands
	}
	// A refusal may come before the message: the receive says which.
	_ = stream.SendMsg(&emptypb.Empty{})
	_ = stream.CloseSend()
	for {
		err := stream.RecvMsg(&emptypb.Empty{})
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if header, headerErr := stream.Header(); headerErr == nil {
				serviceHeaders(w.Header(), header)
			}
			return err //nolint:wrapcheck // as above
		}
	}
}
