package gateway

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync/atomic"
)

// A request of HTTP/1 that states its length twice, with Content-Length and with
// Transfer-Encoding, may be an attack (request smuggling): a proxy in front may use the
// other length. net/http ignores the Content-Length and does not report it. So the
// gateway watches the bytes that net/http reads from a connection, and closes the
// connection after such a request (RFC 9112 section 6.1).

// watchedListener watches the connections that it accepts.
type watchedListener struct{ net.Listener }

// Accept implements [net.Listener]. It does not watch a TLS connection, because net/http
// must see its type.
func (l watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if _, secure := conn.(interface{ HandshakeContext(context.Context) error }); secure {
		return conn, nil
	}
	return &watchedConn{Conn: conn}, nil
}

// watchedConn finds header sections that state two lengths. A body may look like such a
// section. Then the connection is closed without need, which is harmless. Only one
// goroutine reads at a time.
type watchedConn struct {
	net.Conn
	// twoLengths is set when a section states both.
	twoLengths atomic.Bool

	passed bool   // the connection uses HTTP/2
	begun  bool   // the first line has begun
	line   []byte // the beginning of the current line, long enough to name a field
	length bool   // the current section states Content-Length
	coding bool   // it states Transfer-Encoding
}

// namedBytes is how many bytes of a line are kept: the length of the longer name with its
// colon.
const namedBytes = len("transfer-encoding:")

// Read implements [net.Conn].
func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.passed {
		c.watch(p[:n])
	}
	return n, err
}

// CloseWrite lets net/http end a response before it closes the connection, so
// that the client can read the response.
func (c *watchedConn) CloseWrite() error {
	if conn, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return conn.CloseWrite()
	}
	return nil
}

func (c *watchedConn) watch(data []byte) {
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		part := data
		if end >= 0 {
			part, data = data[:end], data[end+1:]
		} else {
			data = nil
		}
		if room := namedBytes - len(c.line); room > 0 {
			c.line = append(c.line, part[:min(room, len(part))]...)
		}
		if !c.begun && len(c.line) >= len("PRI ") {
			c.begun, c.passed = true, bytes.HasPrefix(c.line, []byte("PRI "))
			if c.passed {
				return
			}
		}
		if end >= 0 {
			c.endLine()
		}
	}
}

// endLine checks a complete line. An empty line ends a section.
func (c *watchedConn) endLine() {
	line := bytes.ToLower(bytes.TrimRight(c.line, "\r"))
	c.line = c.line[:0]
	switch {
	case len(line) == 0:
		c.length, c.coding = false, false
	case bytes.HasPrefix(line, []byte("content-length:")):
		c.length = true
	case bytes.HasPrefix(line, []byte("transfer-encoding:")):
		c.coding = true
	}
	if c.length && c.coding {
		c.twoLengths.Store(true)
	}
}

type connKey struct{}

// withConn puts the connection into the context of its requests.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// endAmbiguous closes the connection after the response when the request stated its
// length twice, or when the connection was not watched.
func endAmbiguous(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
			conn, watched := r.Context().Value(connKey{}).(*watchedConn)
			if !watched || conn.twoLengths.Load() {
				w.Header().Set("Connection", "close")
			}
		}
		next.ServeHTTP(w, r)
	})
}
