package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// BodyLimit is the largest body of a request, in bytes, except for uploads,
	// and for RPCs that anybody may call, which rpcserver.PublicLimit bounds.
	BodyLimit = 4 << 20
	// bodyTimeout is how long a client may take to send a body.
	bodyTimeout = 30 * time.Second
	// answerTimeout is how long a client may take to read an answer.
	answerTimeout = 2 * time.Minute
	// blockSize is the unit in which a body is read.
	blockSize = 32 << 10
)

// takeBody reads the body of a JSON route and checks what grpc-gateway does
// not: its type, its size, and that it is one JSON object with nothing behind
// it. An absent body counts as {}. What follows decodes from memory.
func (g *Gateway) takeBody(w http.ResponseWriter, r *http.Request, route *route) error {
	body, err := readBody(w, r, route.bodyLimit(), func() error {
		if route.public {
			return nil
		}
		return g.mayCall(w, r, route.method)
	})
	if err != nil {
		return err
	}
	body = bytes.TrimSpace(body)
	switch {
	case route.body == "" && len(body) > 0:
		return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "this route takes no body")
	case route.body == "":
		r.Body = http.NoBody
		return nil
	case len(body) == 0:
		body = []byte("{}")
	case !isJSON(r.Header.Get("Content-Type")):
		return fault.New(faultv1.Reason_REASON_UNSUPPORTED_MEDIA_TYPE, "this route reads application/json")
	}
	if err := checkJSON(body, route.mostValues()); err != nil {
		return err
	}
	exchangeOf(r.Context()).body = body
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	return nil
}

func isJSON(contentType string) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/json" {
		return false
	}
	charset := params["charset"]
	return charset == "" || strings.EqualFold(charset, "utf-8")
}

// checkJSON checks that a body is one JSON object of a bounded shape, in time that
// grows with its size alone.
func checkJSON(body []byte, most int) error {
	if f := checkShape(body, most); f != nil {
		return f
	}
	var value json.RawMessage
	var syntax *json.SyntaxError
	if err := json.Unmarshal(body, &value); errors.As(err, &syntax) {
		return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT,
			"the body is not JSON: %s, at byte %d", syntax.Error(), syntax.Offset)
	} else if err != nil {
		return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "the body is not JSON")
	}
	if body[0] != '{' {
		return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "the body must be a JSON object")
	}
	return nil
}

// readBody reads a body up to a limit. It gathers blocks from a pool, since a slice
// that grows would cost several times the limit, and anybody may send a body before
// we know who asks. Before it holds more than costlySize, it calls large once, which
// reports whether the caller may send so much.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, large func() error) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil, nil
	}
	if r.Header.Get("Content-Encoding") != "" {
		return nil, fault.New(faultv1.Reason_REASON_UNSUPPORTED_MEDIA_TYPE, "a body must not be compressed")
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	stopTimer := readDeadline(w, bodyTimeout)
	defer stopTimer()
	limited := http.MaxBytesReader(w, r.Body, limit)
	var blocks []*block
	defer func() {
		for _, b := range blocks {
			blockPool.Put(b)
		}
	}()
	for size, asked := 0, false; ; {
		if size == len(blocks)*blockSize {
			b, _ := blockPool.Get().(*block)
			blocks = append(blocks, b)
		}
		n, err := limited.Read(blocks[len(blocks)-1][size%blockSize:])
		if size += n; size > costlySize && !asked {
			asked = true
			if refused := large(); refused != nil {
				return nil, refused
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return join(blocks, size), nil
		case err != nil:
			return nil, bodyError(err)
		}
	}
}

type block [blockSize]byte

// blockPool lends blocks; it holds no state.
var blockPool = sync.Pool{New: func() any { return new(block) }} //nolint:gochecknoglobals // as said

func join(blocks []*block, size int) []byte {
	out := make([]byte, 0, size)
	for _, b := range blocks {
		out = append(out, b[:min(blockSize, size-len(out))]...)
	}
	return out
}

// readDeadline gives the client d to send its body. The returned function
// takes the limit off again: a deadline that passes later would look like a
// client that went away.
func readDeadline(w http.ResponseWriter, d time.Duration) func() {
	controller := http.NewResponseController(w)
	// A connection that knows no deadlines is bounded by the request's end.
	_ = controller.SetReadDeadline(socketDeadline(d))
	return func() { _ = controller.SetReadDeadline(time.Time{}) }
}

// writeDeadline gives the client answerTimeout to take an answer that is not a
// stream. The returned function takes the limit off the connection again.
func writeDeadline(w http.ResponseWriter) func() {
	controller := http.NewResponseController(w)
	_ = controller.SetWriteDeadline(socketDeadline(answerTimeout)) // as above
	return func() { _ = controller.SetWriteDeadline(time.Time{}) }
}

// bodyError tells why a body could not be read.
func bodyError(err error) error {
	var tooMuch *http.MaxBytesError
	var ours *fault.Fault
	switch {
	case errors.As(err, &tooMuch):
		return tooLarge(tooMuch.Limit)
	case errors.As(err, &ours):
		return ours
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fault.Wrap(err, faultv1.Reason_REASON_DEADLINE_EXCEEDED, "the body did not arrive in time")
	default:
		return fault.Wrap(err, faultv1.Reason_REASON_CANCELLED, "the body ended early")
	}
}

func tooLarge(limit int64) error {
	if limit < 1<<20 {
		return fault.New(faultv1.Reason_REASON_PAYLOAD_TOO_LARGE, "the body is over %d KiB", limit>>10)
	}
	return fault.New(faultv1.Reason_REASON_PAYLOAD_TOO_LARGE, "the body is over %d MiB", limit>>20)
}
