package gateway

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"net/http"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// framePrefix is the size of the prefix of each message in gRPC, gRPC-Web and the streams
// of Connect: a byte of flags, and the length of the message.
const framePrefix = 5

// limitMessage bounds the size of the only message of a method that needs no credential,
// before and after decompression. The gRPC server of a service decompresses a message
// before it checks any limit. limitMessage reads the body, and puts it back into r.
func limitMessage(w http.ResponseWriter, r *http.Request) error {
	m := exchangeOf(r.Context()).method
	if !m.public || m.streams {
		return nil
	}
	defer httpio.ReadDeadline(w, httpio.BodyTimeout)()
	limit := m.bodyLimit()
	raw, err := io.ReadAll(io.LimitReader(r.Body, framePrefix+limit+1))
	if err != nil {
		return unreadableBody(err)
	}
	if int64(len(raw)) > framePrefix+limit {
		return httpio.TooLarge(limit)
	}
	if len(raw) > framePrefix && int64(len(raw)) > framePrefix+frameLength(raw) {
		return manyMessages()
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
		return nil // the service refuses it, and names the encodings that it supports
	}
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return unreadable()
	}
	n, err := io.Copy(io.Discard, io.LimitReader(reader, limit+1))
	if n > limit {
		return httpio.TooLarge(limit)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fault.Wrap(err, faultv1.Reason_REASON_INVALID_ARGUMENT, "the message cannot be read")
	}
	return nil
}

// costlyFrame reports whether the only message of a call is large. It reads the length in
// the prefix of the message. Bytes after the message are not passed on.
func costlyFrame(r *http.Request) (bool, error) {
	var head [framePrefix]byte
	n, err := io.ReadFull(r.Body, head[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, unreadableBody(err)
	}
	length := int64(0)
	if n == framePrefix {
		length = frameLength(head[:])
	}
	rest := &oneMessage{Reader: r.Body, left: length}
	r.Body = prefixedBody{Reader: io.MultiReader(bytes.NewReader(head[:n]), rest), Closer: r.Body}
	return length > costlySize, nil
}

// oneMessage is a body that ends with its message. It refuses a second message, which a
// service would hold and decompress before it refuses it.
type oneMessage struct {
	io.Reader
	left int64
}

// Read implements [io.Reader].
func (m *oneMessage) Read(p []byte) (int, error) {
	if m.left > 0 {
		n, err := m.Reader.Read(p[:min(int64(len(p)), m.left)])
		m.left -= int64(n)
		return n, err
	}
	n, err := m.Reader.Read(make([]byte, 1))
	if n > 0 {
		return 0, manyMessages()
	}
	return 0, err
}

func manyMessages() *fault.Fault {
	return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "this call has exactly one message")
}

// unreadableBody returns the fault for a message that could not be read. When the error
// is a fault, it returns that one, which is more specific.
func unreadableBody(err error) error {
	if known := (*fault.Fault)(nil); errors.As(err, &known) {
		return known
	}
	return unreadable()
}

// frameLength returns the length in the prefix of a frame.
func frameLength(head []byte) int64 { return int64(binary.BigEndian.Uint32(head[1:framePrefix])) }

// frame returns a message with its prefix.
func frame(flags byte, message []byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(message))) //nolint:gosec // bounded by the header limit
	return append(out, message...)
}
