package gateway

import (
	"bufio"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/fault"
)

// trailerFlag marks the last frame of a gRPC-Web response. It contains what gRPC sends
// as HTTP trailers, which a script in a browser cannot read.
const trailerFlag = 0x80

// grpcWeb is gRPC-Web, binary or text. A call is turned into a gRPC call without
// decoding its messages, because the frames are the same: text is base64 around the
// frames, and the trailers become one more frame.
type grpcWeb struct {
	grpcFormat
	calls  *calls
	proxy  *proxy
	status statusWriter
}

// name implements [protocol].
func (*grpcWeb) name() string { return "grpc-web" }

// accepts implements [protocol].
func (*grpcWeb) accepts(r *http.Request) bool {
	return strings.HasPrefix(contentType(r), "application/grpc-web")
}

// decode implements [messageFormat]. It decodes base64.
func (*grpcWeb) decode(r *http.Request) {
	if !isWebText(r) {
		return
	}
	// The decoder checks the padding only of what one read returns, so it reads through
	// a buffer.
	text := bufio.NewReader(base64.NewDecoder(base64.StdEncoding, r.Body))
	r.Body = prefixedBody{Reader: text, Closer: r.Body}
}

// serve implements [protocol].
func (p *grpcWeb) serve(w http.ResponseWriter, r *http.Request) {
	release, admitted := p.calls.admit(w, r, p)
	if !admitted {
		return
	}
	defer release()
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	call := asGRPC(r)
	call.ContentLength = -1
	call.Header.Del("Content-Length")
	if err := limitMessage(w, call); err != nil {
		fail(w, r, err)
		return
	}
	web := newWebWriter(w, r)
	// Without full duplex, HTTP/1 would read the whole request before the response
	// begins. HTTP/2 always has it, and returns an error here.
	_ = web.controller.EnableFullDuplex()
	p.proxy.ServeHTTP(web, call)
	web.finish()
}

// fail implements [protocol].
func (p *grpcWeb) fail(w http.ResponseWriter, r *http.Request, f *fault.Fault) {
	web := newWebWriter(w, r)
	p.status.write(web, asGRPC(r), f)
	web.finish()
}

func isWebText(r *http.Request) bool {
	return strings.HasPrefix(contentType(r), "application/grpc-web-text")
}

// webWriter writes a gRPC response as gRPC-Web. It does not unwrap, because a write to
// the writer below it would skip the translation.
type webWriter struct {
	client     http.ResponseWriter
	controller *http.ResponseController
	text       bool
	header     http.Header
	// early are trailers that were set as headers, because the call failed before any
	// message.
	early   http.Header
	started bool
	failed  error
}

func newWebWriter(w http.ResponseWriter, r *http.Request) *webWriter {
	return &webWriter{
		client:     w,
		controller: http.NewResponseController(w),
		text:       isWebText(r),
		header:     http.Header{},
		early:      http.Header{},
	}
}

// Header implements [http.ResponseWriter].
func (w *webWriter) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter].
func (w *webWriter) WriteHeader(status int) {
	if w.started || status < http.StatusOK {
		return
	}
	w.started = true
	for name, values := range w.header {
		switch {
		case strings.HasPrefix(name, "Grpc-Status"), name == "Grpc-Message":
			w.early[name] = values
		case name == "Trailer", name == "Content-Length":
		default:
			w.client.Header()[name] = slices.Clone(values)
		}
	}
	contentType := "application/grpc-web+proto"
	if w.text {
		contentType = "application/grpc-web-text+proto"
	}
	w.client.Header().Set("Content-Type", contentType)
	w.client.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *webWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	// A connection without deadlines is bounded by the end of the call.
	_ = w.controller.SetWriteDeadline(httpio.SocketDeadline(readerTimeout))
	out := p
	if w.text {
		out = base64.StdEncoding.AppendEncode(nil, p)
	}
	if _, err := w.client.Write(out); err != nil {
		w.failed = err
		return 0, err
	}
	return len(p), nil
}

// FlushError sends each message when it is written.
func (w *webWriter) FlushError() error {
	return w.controller.Flush()
}

// finish writes the trailers as the last frame.
func (w *webWriter) finish() {
	w.WriteHeader(http.StatusOK)
	if w.failed != nil {
		return // the client closed the connection
	}
	var block []byte
	for name, values := range w.trailers() {
		for _, value := range values {
			// The client of Google reads only names in lower case.
			block = append(block, strings.ToLower(name)+": "+value+"\r\n"...)
		}
	}
	if _, err := w.Write(frame(trailerFlag, block)); err != nil {
		return
	}
	_ = w.FlushError() // the client may have closed the connection
}

// trailers returns the trailers that the proxy set: those that it announced, those
// with the prefix of net/http, and those of a response that had only trailers.
func (w *webWriter) trailers() http.Header {
	out := w.early
	for _, list := range w.header.Values("Trailer") {
		for name := range strings.SplitSeq(list, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if values := w.header.Values(name); len(values) > 0 {
				out[name] = values
			}
		}
	}
	for name, values := range w.header {
		if after, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			out[http.CanonicalHeaderKey(after)] = values
		}
	}
	if len(out.Values("Grpc-Status")) == 0 {
		out.Set("Grpc-Status", "14")
		out.Set("Grpc-Message", "the response ended early")
	}
	return out
}
