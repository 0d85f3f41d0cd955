package document_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
)

// asCaller is the stream of a signed-in user.
type asCaller struct {
	grpc.ServerStream
	ctx context.Context
}

func (s asCaller) Context() context.Context { return s.ctx }

// dial serves the room in memory and returns a client. All calls have the caller of ctx.
func (f fixture) dial(t *testing.T, ctx context.Context) knowledgev1.DocumentServiceClient {
	t.Helper()
	caller, _ := identity.FromContext(ctx)
	server := grpc.NewServer(grpc.StreamInterceptor(
		func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			err := next(srv, asCaller{stream, identity.NewContext(stream.Context(), caller)})
			if err != nil {
				return fault.ToStatus(fault.From(err)).Err()
			}
			return nil
		}))
	knowledgev1.RegisterDocumentServiceServer(server, f)
	listener, served := bufconn.Listen(1<<20), make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///documents", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return knowledgev1.NewDocumentServiceClient(conn)
}

func header(collectionID, fileName string) *knowledgev1.UploadDocumentRequest {
	return &knowledgev1.UploadDocumentRequest{Part: &knowledgev1.UploadDocumentRequest_Header_{
		Header: &knowledgev1.UploadDocumentRequest_Header{CollectionId: collectionID, FileName: fileName},
	}}
}

func chunk(data []byte) *knowledgev1.UploadDocumentRequest {
	return &knowledgev1.UploadDocumentRequest{Part: &knowledgev1.UploadDocumentRequest_Chunk{Chunk: data}}
}

// upload sends parts until the server ends the call.
func upload(t *testing.T, client knowledgev1.DocumentServiceClient, parts ...*knowledgev1.UploadDocumentRequest) (*knowledgev1.Document, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stream, err := client.UploadDocument(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		if err := stream.Send(part); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return stream.CloseAndRecv()
}

func TestUploadDocument_IsStoredAndIndexed(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t, embed.NewHash(), 0), member(t)
	f.start(t)
	client := f.dial(t, ctx)
	// The cut is within a character.
	text := []byte("# Prices\n\nA pump costs 40 €.\n")
	cut := bytes.IndexRune(text, '€') + 1
	d, err := upload(t, client, header(f.collection(t, ctx), "docs/prices.md"), chunk(text[:cut]), chunk(text[cut:]))
	if err != nil {
		t.Fatal(err)
	}
	if d.GetTitle() != "prices.md" || d.GetContentType() != "text/markdown" || d.GetSizeBytes() != int64(len(text)) {
		t.Errorf("stored as %v", d)
	}
	if got := f.settled(t, ctx, d.GetId()); got.GetState() != knowledgev1.Document_READY {
		t.Errorf("ended as %v", got)
	}
	body, err := f.GetDocumentContent(ctx, &knowledgev1.GetDocumentContentRequest{Id: d.GetId()})
	if err != nil || !bytes.Equal(body.GetData(), text) {
		t.Errorf("content %q, %v", body.GetData(), err)
	}
}

func TestUploadDocument_NoBytes_FailsAsEmpty(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t, embed.NewHash(), 0), member(t)
	f.start(t)
	d, err := upload(t, f.dial(t, ctx), header(f.collection(t, ctx), "empty.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.settled(t, ctx, d.GetId()); got.GetFailure().GetReason() != "DOCUMENT_EMPTY" {
		t.Errorf("ended as %v", got)
	}
}

func TestUploadDocument_InvalidUploads_AreRefused(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t, embed.NewHash(), 0), member(t)
	client, collectionID, other := f.dial(t, ctx), f.collection(t, ctx), member(t)
	large := []*knowledgev1.UploadDocumentRequest{header(collectionID, "large.txt")}
	for range 33 {
		large = append(large, chunk(make([]byte, 1<<20)))
	}
	for name, tc := range map[string]struct {
		parts []*knowledgev1.UploadDocumentRequest
		want  faultv1.Reason
	}{
		"nothing at all":       {nil, faultv1.Reason_REASON_INVALID_ARGUMENT},
		"bytes first":          {[]*knowledgev1.UploadDocumentRequest{chunk([]byte("x"))}, faultv1.Reason_REASON_INVALID_ARGUMENT},
		"two headers":          {[]*knowledgev1.UploadDocumentRequest{header(collectionID, "a"), header(collectionID, "a")}, faultv1.Reason_REASON_INVALID_ARGUMENT},
		"no title":             {[]*knowledgev1.UploadDocumentRequest{header(collectionID, "")}, faultv1.Reason_REASON_INVALID_ARGUMENT},
		"more than 32 MiB":     {large, faultv1.Reason_REASON_DOCUMENT_TOO_LARGE},
		"an absent collection": {[]*knowledgev1.UploadDocumentRequest{header(id.New(), "a")}, faultv1.Reason_REASON_NOT_FOUND},
		"a foreign collection": {[]*knowledgev1.UploadDocumentRequest{header(f.collection(t, other), "a")}, faultv1.Reason_REASON_NOT_FOUND},
	} {
		_, err := upload(t, client, tc.parts...)
		if got := fromStatus(t, err); got != tc.want {
			t.Errorf("%s: %v (%v), want %v", name, got, err, tc.want)
		}
	}
	page, err := f.ListDocuments(ctx, &knowledgev1.ListDocumentsRequest{CollectionId: collectionID})
	if err != nil || len(page.GetDocuments()) != 0 {
		t.Errorf("refused uploads have left %v, %v", page.GetDocuments(), err)
	}
}

func fromStatus(t *testing.T, err error) faultv1.Reason {
	t.Helper()
	st, ok := status.FromError(err)
	if !ok {
		t.Fatalf("no status: %v", err)
	}
	return fault.FromStatus(st).Reason()
}
