package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
)

// A service authorizes a call before it decodes the message. JSON is decoded in the
// gateway, which verifies no token. So two rules keep the same order:
//
//   - A request without a credential to a route that needs one is refused as the
//     service would refuse it. Its body is dropped undecoded.
//   - Before the gateway holds or decodes a costly message, it asks the service whether
//     the caller may make the call.
//
// Messages of methods that need no credential are kept small instead
// (rpcserver.PublicLimit).

// costlySize is the largest message, in bytes, that is held and decoded before a
// service has authorized the caller. Asking the service costs about as much.
const costlySize = 8 << 10

// hasCredential reports whether a request has a credential, valid or not.
func hasCredential(r *http.Request) bool { return r.Header.Get("Authorization") != "" }

// refuseAnonymous refuses a call without a credential to a method that needs one. With
// drop it reads the body to its end first: a client over HTTP/1 reads the response only
// after it has sent the body.
func refuseAnonymous(w http.ResponseWriter, r *http.Request, m *method, drop bool) error {
	if m.public || hasCredential(r) {
		return nil
	}
	if drop {
		if err := dropBody(w, r); err != nil {
			return err
		}
	}
	return identity.Unauthenticated()
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
		return httpio.TooLarge(BodyLimit)
	}
	defer httpio.ReadDeadline(w, httpio.BodyTimeout)()
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, BodyLimit)); err != nil {
		return httpio.BodyError(err)
	}
	return nil
}

// costlyUnframed reports whether a message without a frame is large. When the client
// does not state its length, it reads the beginning of the message, which it puts back.
func costlyUnframed(w http.ResponseWriter, r *http.Request) (bool, error) {
	if r.ContentLength >= 0 {
		return r.ContentLength > costlySize, nil
	}
	defer httpio.ReadDeadline(w, httpio.BodyTimeout)()
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

// mayCall asks the service of a method whether the caller may call it. If not, it
// returns the error that the call itself would return.
func mayCall(w http.ResponseWriter, r *http.Request, m *method) error {
	ctx, cancel := context.WithTimeout(r.Context(), httpio.RequestTimeout)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx,
		rpcserver.MetadataAuthorization, r.Header.Get("Authorization"), rpcserver.MetadataAuthorizeOnly, "1")
	stream, err := m.upstream.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, m.fullName)
	if err != nil {
		return err
	}
	// The service may refuse the call before it reads a message. Then sending fails, and
	// receiving returns the reason.
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
			return err
		}
	}
}
