package gateway

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// maxChunk is the largest chunk of an upload that the contract allows, in bytes.
	maxChunk = 1 << 20
	// chunkSlack is for the other bytes of a message with a chunk.
	chunkSlack = 4 << 10
)

// frames is the body of a call that streams messages to its service. It refuses a large
// message by the length in its prefix. The service checks a chunk only when the whole
// message has arrived, so large messages would fill the memory.
type frames struct {
	io.ReadCloser
	limit    int64  // of a message, in bytes
	encoding string // of compressed messages

	head  [framePrefix]byte
	ready []byte // bytes that were read and not yet returned
	left  int64  // how many bytes of the current message are not yet read
}

func newFrames(r *http.Request, encoding string) *frames {
	f := &frames{ReadCloser: r.Body, limit: maxChunk + chunkSlack, encoding: encoding}
	if strings.Contains(contentType(r), "json") {
		f.limit = maxChunk/3*4 + chunkSlack // JSON holds bytes as base64
	}
	return f
}

// Read implements [io.Reader].
func (f *frames) Read(p []byte) (int, error) {
	if len(f.ready) == 0 && f.left == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	if len(f.ready) > 0 {
		n := copy(p, f.ready)
		f.ready = f.ready[n:]
		return n, nil
	}
	n, err := f.ReadCloser.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, err
}

// next begins the next message. It reads a compressed message as a whole, because its
// size after decompression is unknown before that.
func (f *frames) next() error {
	n, err := io.ReadFull(f.ReadCloser, f.head[:])
	f.ready = f.head[:n]
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil // the service reports what is wrong with it
	}
	if err != nil {
		return err
	}
	length := frameLength(f.head[:])
	if length > f.limit {
		return fault.New(faultv1.Reason_REASON_PAYLOAD_TOO_LARGE, "a message of this stream has at most %d MiB", maxChunk>>20)
	}
	if f.head[0]&1 == 0 || f.encoding == "" || f.encoding == identityEncoding {
		f.left = length
		return nil
	}
	message, err := io.ReadAll(io.LimitReader(f.ReadCloser, length))
	if err != nil {
		return err
	}
	if err := limitUnpacked(message, f.encoding, f.limit); err != nil {
		return err
	}
	f.ready = append(f.head[:n:n], message...)
	return nil
}
