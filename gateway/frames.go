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
	// chunkSlack is for what surrounds a chunk in its message.
	chunkSlack = 4 << 10
)

// frames is the body of a call that streams messages to its service. It refuses a
// message by the length that stands before it: the service checks a chunk only when
// all of its message has come, so large ones would fill the memory.
type frames struct {
	io.ReadCloser
	limit    int64  // of a message
	encoding string // of messages that are compressed

	head  [framePrefix]byte
	ready []byte // what was read and is to be passed on
	left  int64  // how much of the message at hand is to come
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

// next begins the next message. A compressed one is read whole, since only its end
// tells how large it is.
func (f *frames) next() error {
	n, err := io.ReadFull(f.ReadCloser, f.head[:])
	f.ready = f.head[:n]
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil // the service says what is wrong with it
	}
	if err != nil {
		return err
	}
	length := frameLength(f.head[:])
	if length > f.limit {
		return fault.New(faultv1.Reason_REASON_PAYLOAD_TOO_LARGE, "a message of this stream holds %d MiB at most", maxChunk>>20)
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
