package gateway

import (
	"compress/gzip"
	"io"

	"connectrpc.com/connect"

	"github.com/gatehouse/gatehouse/platform/fault"
)

// gunzip unpacks a message and ends where it grows past the limit: vanguard
// measures messages as they come, before and after it unpacks them but not
// meanwhile.
type gunzip struct {
	gzip.Reader
	left int64
}

func newGunzip() connect.Decompressor { return &gunzip{} }

func newGzip() connect.Compressor { return gzip.NewWriter(io.Discard) }

// Reset implements connect.Decompressor.
func (g *gunzip) Reset(r io.Reader) error {
	g.left = BodyLimit
	return g.Reader.Reset(r)
}

// Read implements connect.Decompressor.
func (g *gunzip) Read(p []byte) (int, error) {
	n, err := g.Reader.Read(p)
	if g.left -= int64(n); g.left < 0 {
		return n, connectError(fault.From(tooLarge(BodyLimit)))
	}
	return n, err
}
