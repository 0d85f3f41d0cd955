package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// BodyLimit is the largest body of a request, in bytes. Uploads may be larger
	// (UploadLimit). RPCs that need no credential have a smaller limit
	// (rpcserver.PublicLimit).
	BodyLimit = 4 << 20
	// blockSize is the unit in which a body is read.
	blockSize = 32 << 10
)

// takeBody reads the body of a JSON route into memory. It checks what grpc-gateway does
// not check: the type and the size of the body, and that it is one JSON object with
// nothing after it. An absent body counts as {}.
func takeBody(w http.ResponseWriter, r *http.Request, route *route) error {
	body, err := readBody(w, r, route.bodyLimit(), func() error {
		if route.public {
			return nil
		}
		return mayCall(w, r, route.method)
	})
	if err != nil {
		return err
	}
	body = bytes.TrimSpace(body)
	switch {
	case route.body == "" && len(body) > 0:
		return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "this route has no body")
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

// checkJSON checks that a body is one JSON object of a bounded shape, in time
// proportional to its size.
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

// readBody reads a body up to a limit. It uses blocks from a pool. A slice that grows
// would cost several times the limit, and clients send bodies before they are
// authenticated. Before it holds more than costlySize, it calls large once, which
// returns an error when the caller may not send so much.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, large func() error) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil, nil
	}
	if r.Header.Get("Content-Encoding") != "" {
		return nil, fault.New(faultv1.Reason_REASON_UNSUPPORTED_MEDIA_TYPE, "a body must not be compressed")
	}
	if r.ContentLength > limit {
		return nil, httpio.TooLarge(limit)
	}
	stopTimer := httpio.ReadDeadline(w, httpio.BodyTimeout)
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
			return nil, httpio.BodyError(err)
		}
	}
}

type block [blockSize]byte

// blockPool lends blocks.
var blockPool = sync.Pool{New: func() any { return new(block) }} //nolint:gochecknoglobals // a pool has no state of its own

func join(blocks []*block, size int) []byte {
	out := make([]byte, 0, size)
	for _, b := range blocks {
		out = append(out, b[:min(blockSize, size-len(out))]...)
	}
	return out
}
