package gateway

import (
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// maxBodies is how many counted bytes of request bodies are in memory at once.
	maxBodies = 32 << 20
	// maxBodiesOfClient is the part of maxBodies that one client address may fill, so
	// that no client alone keeps others from sending large bodies.
	maxBodiesOfClient = maxBodies / 2
	// uncounted is how much of each body is not counted, in bytes: almost every request
	// is smaller.
	uncounted = 64 << 10
	// bodyRetry is how long a refused client waits before it retries.
	bodyRetry = time.Second
)

// bodies counts the bytes of request bodies in memory, from their arrival until the
// response begins, or at the latest until the request ends. A body is in memory as a
// whole, here or in the service, until it is decoded. Uploads are not counted: they are
// passed on and spooled to disk.
type bodies struct {
	mu    sync.Mutex
	total int
	of    map[string]int // by client address
}

func newBodies() *bodies { return &bodies{of: map[string]int{}} }

// take counts n more bytes of a client. It reports false when there is no room for them.
func (b *bodies) take(client string, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.total+n > maxBodies || b.of[client]+n > maxBodiesOfClient {
		return false
	}
	b.total += n
	b.of[client] += n
	return true
}

// release ends the counting of n bytes of a client.
func (b *bodies) release(client string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total -= n
	if b.of[client] -= n; b.of[client] == 0 {
		delete(b.of, client)
	}
}

// count counts the body of a request while it is read. The caller calls release when the
// body is no longer needed. It may be called again.
func (b *bodies) count(r *http.Request) (release func()) {
	if !hasBody(r) {
		return func() {}
	}
	counted := &countedBody{ReadCloser: r.Body, bodies: b, client: limitKey(exchangeOf(r.Context()).client), left: uncounted}
	r.Body = counted
	return counted.release
}

// countedBody is a body whose bytes are counted.
type countedBody struct {
	io.ReadCloser
	bodies *bodies
	client string
	left   int // how many more bytes are not counted

	mu    sync.Mutex
	held  int
	ended bool
}

// Read implements [io.Reader]. It returns OVERLOADED when there is no room for the
// bytes that arrived.
func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	more := n - min(n, c.left)
	c.left -= n - more
	c.mu.Lock()
	defer c.mu.Unlock()
	if more == 0 || c.ended {
		return n, err
	}
	if !c.bodies.take(c.client, more) {
		return 0, fault.New(faultv1.Reason_REASON_OVERLOADED, "too many large requests at once").WithRetryAfter(bodyRetry)
	}
	c.held += more
	return n, err
}

// release ends the counting. A proxy may still read afterwards; those bytes are not
// counted.
func (c *countedBody) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.held > 0 {
		c.bodies.release(c.client, c.held)
		c.held = 0
	}
}
