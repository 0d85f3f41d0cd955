package gateway

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"net/http"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// framePrefix is what stands before each message in gRPC and its relatives: a byte
// of flags, and the length of the message.
const framePrefix = 5

// limitMessage bounds the size of the one message of a method that anybody may
// call, also after decompression: gRPC decompresses a message before it knows
// who sent it. It reads the body, and puts it back into r.
func limitMessage(w http.ResponseWriter, r *http.Request) error {
	m := exchangeOf(r.Context()).method
	if !m.public || m.streams {
		return nil
	}
	defer readDeadline(w, bodyTimeout)()
	limit := m.bodyLimit()
	raw, err := io.ReadAll(io.LimitReader(r.Body, framePrefix+limit+1))
	if err != nil {
		return unreadable()
	}
	if int64(len(raw)) > framePrefix+limit {
		return tooLarge(limit)
	}
	r.Body = prefixedBody{Reader: bytes.NewReader(raw), Closer: r.Body}
	if len(raw) <= framePrefix || raw[0]&1 == 0 {
		return nil
	}
	return limitUnpacked(raw[framePrefix:], r.Header.Get("Grpc-Encoding"), limit)
}

// limitUnpacked refuses a compressed message that is larger than a limit after
// decompression.
func limitUnpacked(packed []byte, encoding string, limit int64) error {
	if encoding != "gzip" {
		return nil // the service names the encodings that it knows
	}
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return unreadable()
	}
	n, err := io.Copy(io.Discard, io.LimitReader(reader, limit+1))
	if n > limit {
		return tooLarge(limit)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fault.Wrap(err, faultv1.Reason_REASON_INVALID_ARGUMENT, "the message cannot be read")
	}
	return nil
}

// frame puts the prefix before a message.
func frame(flags byte, message []byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(message))) //nolint:gosec // bounded by the header limit
	return append(out, message...)
}
