package gateway

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// trailerFlag marks the last frame of a gRPC-Web answer, which holds what gRPC
// sends as HTTP trailers: browsers show those to nobody.
const trailerFlag = 0x80

// serveGRPCWeb turns a gRPC-Web call, binary or text, into a gRPC call. The
// messages are framed alike in both, so nothing here knows their types: text
// is base64 around the frames (admit has decoded the request's), and the trailers
// become one more frame.
func (g *Gateway) serveGRPCWeb(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	call := asGRPC(r)
	call.ContentLength = -1
	call.Header.Del("Content-Length")
	if err := limitMessage(w, call); err != nil {
		g.fail(w, r, err)
		return
	}
	web := newWebWriter(w, r)
	// HTTP/1 would otherwise read the whole request before the first answer.
	// Over HTTP/2 it is so already, and the call says that it is not needed.
	_ = web.controller.EnableFullDuplex()
	g.passThrough(web, call)
	web.finish()
}

func isWebText(r *http.Request) bool {
	return strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "application/grpc-web-text")
}

// webWriter writes a gRPC answer as gRPC-Web. It must not unwrap: a flush that
// reached past it would be harmless, but a write would not.
type webWriter struct {
	client     http.ResponseWriter
	controller *http.ResponseController
	text       bool
	header     http.Header
	// early are trailers that came as headers: the call failed before any
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
	// A connection that knows no deadlines is bounded by the call's end.
	_ = w.controller.SetWriteDeadline(socketDeadline(readerTimeout))
	out := p
	if w.text {
		out = base64.StdEncoding.AppendEncode(nil, p)
	}
	if _, err := w.client.Write(out); err != nil {
		w.failed = err
		return 0, err //nolint:wrapcheck // io.Writer: the caller compares the error
	}
	return len(p), nil
}

// FlushError lets each message out as it comes.
func (w *webWriter) FlushError() error {
	return w.controller.Flush() //nolint:wrapcheck // http.ResponseController's contract
}

// finish writes the trailers as the last frame.
func (w *webWriter) finish() {
	w.WriteHeader(http.StatusOK)
	if w.failed != nil {
		return // the client is gone
	}
	var block []byte
	for name, values := range w.trailers() {
		for _, value := range values {
			// Google's client reads lower-case names alone.
			block = append(block, strings.ToLower(name)+": "+value+"\r\n"...)
		}
	}
	if _, err := w.Write(frame(trailerFlag, block)); err != nil {
		return
	}
	_ = w.FlushError() // nobody is left to tell
}

// trailers gathers what the proxy set: names that it announced, names behind
// the prefix of net/http, and those of an answer that was trailers alone.
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
		out.Set("Grpc-Message", "the answer ended early")
	}
	return out
}
