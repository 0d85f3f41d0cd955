package gateway

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

const (
	uploadMethod  = knowledgev1.DocumentService_UploadDocument_FullMethodName
	uploadPattern = "/v1/collections/{collection_id}/documents:upload"
	// UploadLimit is the largest file, in bytes.
	UploadLimit = 32 << 20
	// uploadSlack is for the boundaries and headers that multipart adds to a file.
	uploadSlack = 64 << 10
	// uploadTimeout ends an upload, however slow its client.
	uploadTimeout = 5 * time.Minute
	// chunkSize is how many bytes of a file one message has. With its frame, such a
	// message fits a buffer of 32 KiB; the next larger buffer of gRPC has 1 MiB.
	chunkSize = 32<<10 - 64
	// maxTextField bounds the other fields, in bytes. The service has tighter limits.
	maxTextField = 4 << 10
)

// uploadStream is the call to the service.
type uploadStream = grpc.ClientStreamingClient[knowledgev1.UploadDocumentRequest, knowledgev1.Document]

// uploads serves files that clients send as multipart/form-data. A form has the fields
// title and contentType, both optional and given once, then the file. The file is
// passed on as it arrives, so that no upload is ever held in memory.
type uploads struct {
	mux    *runtime.ServeMux
	conn   grpc.ClientConnInterface // to chat
	method *method
}

// serve passes the file of a form to the service.
func (u *uploads) serve(w http.ResponseWriter, r *http.Request, params map[string]string) {
	x := exchangeOf(r.Context())
	x.route, x.method = uploadPattern, u.method
	// The caller is checked before the form is read, because a form may have long
	// headers.
	err := identity.Unauthenticated()
	if hasCredential(r) {
		err = mayCall(w, r, u.method)
	}
	if err != nil {
		fail(w, r, err)
		return
	}
	form, err := openForm(w, r)
	if err != nil {
		fail(w, r, err)
		return
	}
	defer httpio.ReadDeadline(w, uploadTimeout)()
	ctx, cancel := context.WithTimeout(r.Context(), uploadTimeout)
	defer cancel()
	ctx, err = runtime.AnnotateContext(ctx, u.mux, r, u.method.fullName, runtime.WithHTTPPathPattern(uploadPattern))
	if err != nil {
		fail(w, r, err)
		return
	}
	header := &knowledgev1.UploadDocumentRequest_Header{CollectionId: params["collection_id"]}
	document, md, err := sendForm(ctx, knowledgev1.NewDocumentServiceClient(u.conn), form, header)
	ctx = runtime.NewServerMetadataContext(ctx, md)
	if err != nil {
		runtime.HTTPError(ctx, u.mux, nil, w, r, err)
		return
	}
	_, codec := runtime.MarshalerForRequest(u.mux, r)
	runtime.ForwardResponseMessage(ctx, u.mux, codec, w, r, document, u.mux.GetForwardResponseOptions()...)
}

// openForm checks the request and returns its form.
func openForm(w http.ResponseWriter, r *http.Request) (*multipart.Reader, error) {
	r.Header.Del("Grpc-Timeout")
	if _, err := checkQuery(&route{body: "*"}, r.URL.RawQuery); err != nil {
		return nil, err
	}
	if r.ContentLength > UploadLimit+uploadSlack {
		return nil, httpio.TooLarge(UploadLimit)
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return nil, fault.New(faultv1.Reason_REASON_UNSUPPORTED_MEDIA_TYPE, "this route reads multipart/form-data")
	}
	r.Body = http.MaxBytesReader(w, r.Body, UploadLimit+uploadSlack)
	form, err := r.MultipartReader()
	if err != nil {
		return nil, fault.Invalid("file", "the form cannot be read: it names no boundary")
	}
	return form, nil
}

// sendForm reads a form and passes its file to the service.
func sendForm(ctx context.Context, client knowledgev1.DocumentServiceClient, form *multipart.Reader,
	header *knowledgev1.UploadDocumentRequest_Header,
) (*knowledgev1.Document, runtime.ServerMetadata, error) {
	var md runtime.ServerMetadata
	file, err := findFile(form, header)
	if err != nil {
		return nil, md, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // so that the service stores no part of a malformed form
	stream, err := client.UploadDocument(ctx)
	if err != nil {
		return nil, md, err
	}
	first := &knowledgev1.UploadDocumentRequest{Part: &knowledgev1.UploadDocumentRequest_Header_{Header: header}}
	err = stream.Send(first)
	if err == nil {
		err = sendFile(stream, file)
	}
	if err == nil {
		err = endOfForm(form)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, md, err
	}
	// After a failed Send, this returns the reason of the service.
	document, err := stream.CloseAndRecv()
	md.HeaderMD, _ = stream.Header() // an error is in the status too
	return document, md, err
}

// sendFile sends the file to the service. It returns io.EOF when the service ended the
// call.
func sendFile(stream uploadStream, file io.Reader) error {
	size := 0
	for {
		chunk := make([]byte, chunkSize) // sent messages must not be written to again
		n, err := io.ReadFull(file, chunk)
		if size += n; size > UploadLimit {
			return httpio.TooLarge(UploadLimit)
		}
		if n > 0 {
			message := &knowledgev1.UploadDocumentRequest{
				Part: &knowledgev1.UploadDocumentRequest_Chunk{Chunk: chunk[:n]},
			}
			if err := stream.Send(message); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && n < chunkSize {
			return endOfFile(err, file)
		}
		if err != nil {
			return formError(err)
		}
	}
}

// endOfFile returns nil when the file ended, and an error when the form ended within it.
func endOfFile(err error, file io.Reader) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	if _, err := file.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return formError(err)
	}
	return nil
}
