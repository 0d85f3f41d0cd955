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
//   - a body that comes without any credential to a route that needs one is
//     dropped undecoded, and the client gets the response that the service
//     would give;
//   - before it holds or decodes a costly message, the gateway asks the service
//     whether the caller may make the call at all.
//
// Messages of methods that anybody may call are kept small instead
// (rpcserver.PublicLimit).

// costlySize is the largest message, in bytes, that is held and decoded before a
// service has authorized the caller. Asking the service costs about as much.
const costlySize = 8 << 10

// hasCredential reports whether a request holds a credential, valid or not.
func hasCredential(r *http.Request) bool { return r.Header.Get("Authorization") != "" }

// admit refuses a call whose message costs much to decode when the caller may
// not make that call.
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

// costlyMessage reports whether a message may cost much before its service can
// authorize the call: it is compressed, or it is large. A large message is held until
// all of it has arrived, and a text of JSON is decoded here.
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
	// Many clients do not state the length of a message, so read its beginning.
	defer readDeadline(w, bodyTimeout)()
	head, err := io.ReadAll(io.LimitReader(r.Body, costlySize+1))
	if err != nil {
		return false, unreadableBody(err)
	}
	r.Body = prefixedBody{Reader: io.MultiReader(bytes.NewReader(head), r.Body), Closer: r.Body}
	return len(head) > costlySize, nil
}

// prefixedBody is a body whose beginning was already read.
type prefixedBody struct {
	io.Reader
	io.Closer
}

// refuseStranger refuses a call without a credential to a method that needs one.
// It reads the message and drops it, so that its sender sees the response. A REST
// request without a body has nothing to decode and is left to the service.
func refuseStranger(w http.ResponseWriter, r *http.Request, m *method) error {
	if m.public || hasCredential(r) {
		return nil
	}
	rest := exchangeOf(r.Context()).protocol == protocolREST
	if rest && !hasBody(r) {
		return nil
	}
	// An RPC client over HTTP/2 may stream for long, and sees the response while it
	// does.
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

// mayCall asks the service of a method whether the caller may call it. If not,
// it returns the error that the call itself would return.
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
