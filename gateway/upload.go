package gateway

import (
	"cmp"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

const (
	uploadPattern = "/v1/collections/{collection_id}/documents:upload"
	// UploadLimit is the largest file, in bytes.
	UploadLimit = 32 << 20
	// uploadSlack is for what multipart puts around a file.
	uploadSlack = 64 << 10
	// uploadTimeout ends an upload, however slow its client.
	uploadTimeout = 5 * time.Minute
	// chunkSize is what one message of an upload carries. With its framing, such a
	// message fits a buffer of 32 KiB; the next larger buffer of gRPC has 1 MiB.
	chunkSize = 32<<10 - 64
	// maxTextField bounds the fields beside the file; the service has tighter
	// limits of its own.
	maxTextField = 4 << 10
)

// uploadStream is the call that an upload becomes.
type uploadStream = grpc.ClientStreamingClient[knowledgev1.UploadDocumentRequest, knowledgev1.Document]

// upload serves a file as multipart/form-data: the fields title and
// contentType, both optional and given once, then the file. It is passed on as it
// arrives, so that no upload is ever held in memory.
func (g *Gateway) upload(mux *runtime.ServeMux) runtime.HandlerFunc {
	client := knowledgev1.NewDocumentServiceClient(g.chat.conn)
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		x := exchangeOf(r.Context())
		x.route = uploadPattern
		x.method = g.table.methods[knowledgev1.DocumentService_UploadDocument_FullMethodName]
		// The caller is checked before the form is read, because a form may
		// have long headers.
		err := identity.Unauthenticated()
		if hasCredential(r) {
			err = g.mayCall(w, r, x.method)
		}
		if err != nil {
			g.fail(w, r, err)
			return
		}
		form, err := g.uploadForm(w, r)
		if err != nil {
			g.fail(w, r, err)
			return
		}
		defer readDeadline(w, uploadTimeout)()
		ctx, cancel := context.WithTimeout(r.Context(), uploadTimeout)
		defer cancel()
		ctx, err = runtime.AnnotateContext(ctx, mux, r, x.method.fullName, runtime.WithHTTPPathPattern(x.route))
		if err != nil {
			g.fail(w, r, err)
			return
		}
		header := &knowledgev1.UploadDocumentRequest_Header{CollectionId: params["collection_id"]}
		document, md, err := sendForm(ctx, client, form, header)
		ctx = runtime.NewServerMetadataContext(ctx, md)
		if err != nil {
			g.restError(ctx, mux, nil, w, r, err)
			return
		}
		_, codec := runtime.MarshalerForRequest(mux, r)
		runtime.ForwardResponseMessage(ctx, mux, codec, w, r, document, mux.GetForwardResponseOptions()...)
	}
}

// uploadForm checks the request and returns its form.
func (g *Gateway) uploadForm(w http.ResponseWriter, r *http.Request) (*multipart.Reader, error) {
	r.Header.Del("Grpc-Timeout")
	if _, err := checkQuery(&route{body: "*"}, r.URL.RawQuery); err != nil {
		return nil, err
	}
	if r.ContentLength > UploadLimit+uploadSlack {
		return nil, tooLarge(UploadLimit)
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

// sendForm reads the form up to its file, and passes that on.
func sendForm(ctx context.Context, client knowledgev1.DocumentServiceClient, form *multipart.Reader,
	header *knowledgev1.UploadDocumentRequest_Header,
) (*knowledgev1.Document, runtime.ServerMetadata, error) {
	var md runtime.ServerMetadata
	file, err := findFile(form, header)
	if err != nil {
		return nil, md, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a form that turns out bad must leave no half document
	stream, err := client.UploadDocument(ctx)
	if err != nil {
		return nil, md, err //nolint:wrapcheck // a status, which fault.From understands
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
	// After a failed Send the service's reason comes here.
	document, err := stream.CloseAndRecv()
	md.HeaderMD, _ = stream.Header() // the status says what went wrong, if anything
	return document, md, err         //nolint:wrapcheck // as above
}

// findFile reads the fields before the file into the header.
func findFile(form *multipart.Reader, header *knowledgev1.UploadDocumentRequest_Header) (*multipart.Part, error) {
	seen := map[string]bool{}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, fault.Invalid("file", "is required")
		}
		if err != nil {
			return nil, formError(err)
		}
		if err := checkPart(part, seen); err != nil {
			return nil, err
		}
		switch name := part.FormName(); name {
		case "file":
			header.FileName = part.FileName()
			if !utf8.ValidString(header.GetFileName()) {
				return nil, fault.Invalid(name, "must have a name in UTF-8")
			}
			if header.GetContentType() == "" {
				header.ContentType = partType(part)
			}
			return part, nil
		case "title":
			header.Title, err = fieldText(part)
		case "contentType":
			header.ContentType, err = fieldText(part)
		default:
			err = fault.Invalid(name, "unknown field; the form has title, contentType and file")
		}
		if err != nil {
			return nil, err
		}
	}
}

// checkPart refuses a part that two readers would understand differently: a field
// that was already given, or a header or parameter that is given twice.
func checkPart(part *multipart.Part, seen map[string]bool) error {
	name := part.FormName()
	for header, values := range part.Header {
		if len(values) > 1 {
			return fault.Invalid(cmp.Or(name, "file"), "has the header %s twice", header)
		}
	}
	disposition := part.Header.Get("Content-Disposition")
	if _, params, err := mime.ParseMediaType(disposition); err != nil || params["name"] == "" {
		return fault.Invalid("file", "is in a form whose Content-Disposition is malformed or gives a parameter twice")
	}
	if parameter := spelledTwice(disposition); parameter != "" {
		return fault.Invalid("file", "is in a form that gives %s in two spellings", parameter)
	}
	if seen[name] {
		return fault.Invalid(name, "must be given once")
	}
	seen[name] = true
	return nil
}

// spelledTwice returns a parameter that is given both plainly and in the encoding
// of RFC 8187, or "". Readers differ in which of the two they use.
func spelledTwice(disposition string) string {
	given := map[string]bool{}
	for part := range strings.SplitSeq(strings.ToLower(disposition), ";") {
		name, _, _ := strings.Cut(part, "=")
		given[strings.TrimSpace(name)] = true
	}
	for _, name := range []string{"name", "filename"} {
		if given[name] && given[name+"*"] {
			return name
		}
	}
	return ""
}

func fieldText(part *multipart.Part) (string, error) {
	text, err := io.ReadAll(io.LimitReader(part, maxTextField+1))
	if err != nil {
		return "", formError(err)
	}
	if len(text) > maxTextField {
		return "", fault.Invalid(part.FormName(), "is over %d bytes", maxTextField)
	}
	if !utf8.Valid(text) {
		return "", fault.Invalid(part.FormName(), "must be valid UTF-8")
	}
	return string(text), nil
}

// partType is the type that the client gave the file, unless it gave the one
// that says nothing.
func partType(part *multipart.Part) string {
	kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
	if err != nil || kind == "application/octet-stream" {
		return ""
	}
	return kind
}

// sendFile passes the file on. It returns io.EOF when the service ended the
// call.
func sendFile(stream uploadStream, file io.Reader) error {
	size := 0
	for {
		chunk := make([]byte, chunkSize) // sent messages must not be written to again
		n, err := io.ReadFull(file, chunk)
		if size += n; size > UploadLimit {
			return tooLarge(UploadLimit)
		}
		if n > 0 {
			message := &knowledgev1.UploadDocumentRequest{
				Part: &knowledgev1.UploadDocumentRequest_Chunk{Chunk: chunk[:n]},
			}
			if err := stream.Send(message); err != nil {
				return err //nolint:wrapcheck // io.EOF, or a status
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

// endOfFile tells a file that ended from a form that was cut in its midst.
func endOfFile(err error, file io.Reader) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	if _, err := file.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return formError(err)
	}
	return nil
}

// endOfForm makes sure that the file was all: a field behind it would have been
// ignored.
func endOfForm(form *multipart.Reader) error {
	part, err := form.NextPart()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return formError(err)
	}
	return fault.Invalid(part.FormName(), "must come before the file, and once")
}

// formError tells why a form could not be read.
func formError(err error) error {
	var tooMuch *http.MaxBytesError
	if errors.As(err, &tooMuch) {
		return tooLarge(UploadLimit)
	}
	return fault.Invalid("file", "the form is malformed or was cut")
}
