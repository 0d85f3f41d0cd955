package gateway

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
)

// timeoutOf returns how long a request may take: as long as its Grpc-Timeout asks,
// within the limit. It removes the header, which grpc-gateway would follow without a
// limit.
func timeoutOf(h http.Header) (time.Duration, error) {
	value := h.Get("Grpc-Timeout")
	h.Del("Grpc-Timeout")
	if value == "" {
		return httpio.RequestTimeout, nil
	}
	asked, ok := parseTimeout(value)
	if !ok {
		return 0, fault.Invalid("Grpc-Timeout", "must be up to 8 digits and a unit of H, M, S, m, u or n")
	}
	return min(asked, httpio.RequestTimeout), nil
}

// parseTimeout parses a duration in the format of gRPC, for example "100m".
func parseTimeout(s string) (time.Duration, bool) {
	const maxDigits = 8
	if len(s) < 2 || len(s) > maxDigits+1 {
		return 0, false
	}
	units := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second,
		'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}
	unit, ok := units[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if !ok || err != nil {
		return 0, false
	}
	if n > uint64(math.MaxInt64/unit) { //nolint:gosec // both are positive
		return math.MaxInt64, true // 8 digits of hours do not fit
	}
	return time.Duration(n) * unit, true
}

// incomingHeader returns the metadata name of a request header that the services read.
// grpc-gateway passes Authorization by itself. All other headers of a client are
// dropped.
func incomingHeader(name string) (string, bool) {
	switch name {
	case "Idempotency-Key":
		return rpcserver.MetadataIdempotencyKey, true
	case "If-Match":
		return rpcserver.MetadataIfMatch, true
	default:
		return "", false
	}
}

func noHeader(string) (string, bool) { return "", false }

// responseHeaders sets the headers of a response.
func responseHeaders(ctx context.Context, w http.ResponseWriter, message proto.Message) error {
	h := w.Header()
	md, _ := runtime.ServerMetadataFromContext(ctx)
	serviceHeaders(h, md.HeaderMD)
	if tag := etagOf(message); tag != "" {
		h.Set("ETag", tag)
	}
	if _, text := message.(*httpbody.HttpBody); text {
		// Never the content type that the client once stated: a browser must not run the
		// text.
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Content-Disposition", `attachment; filename="document.txt"`)
	}
	return nil
}

// etagOf returns the etag of a resource in quotes, as HTTP needs it, or "".
func etagOf(message proto.Message) string {
	if message == nil {
		return ""
	}
	m := message.ProtoReflect()
	field := m.Descriptor().Fields().ByName("etag")
	if field == nil || field.Kind() != protoreflect.StringKind || field.IsList() {
		return ""
	}
	tag := m.Get(field).String()
	if tag == "" || strings.HasPrefix(tag, `"`) || strings.HasPrefix(tag, `W/"`) {
		return tag
	}
	return `"` + tag + `"`
}
