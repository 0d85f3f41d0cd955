package gateway

import (
	"compress/gzip"
	"errors"
	"io"

	"connectrpc.com/connect"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/fault"
)

// gunzip decompresses a message, and returns an error when the result exceeds the limit.
// vanguard checks the size of a message before and after decompression, but not during
// it.
type gunzip struct {
	gzip.Reader
	limit, left int64
}

func newGunzip(limit int64) func() connect.Decompressor {
	return func() connect.Decompressor { return &gunzip{limit: limit} }
}

func newGzip() connect.Compressor { return gzip.NewWriter(io.Discard) }

// Reset implements connect.Decompressor.
func (g *gunzip) Reset(r io.Reader) error {
	g.left = g.limit
	if err := g.Reader.Reset(r); err != nil {
		return connectError(unreadable())
	}
	return nil
}

// Read implements connect.Decompressor.
func (g *gunzip) Read(p []byte) (int, error) {
	n, err := g.Reader.Read(p)
	if g.left -= int64(n); g.left < 0 {
		return n, connectError(fault.From(httpio.TooLarge(g.limit)))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, connectError(unreadable())
	}
	return n, err
}
