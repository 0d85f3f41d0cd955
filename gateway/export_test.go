package gateway

import "time"

// SetReaderTimeout sets the time after which a reader that reads nothing is disconnected.
func (g *Gateway) SetReaderTimeout(d time.Duration) { g.streams.readerTimeout = d }

// Uncounted is how much of each body is not counted, in bytes.
const Uncounted = uncounted

// FillBodies uses up the room for large bodies of a client address.
func (g *Gateway) FillBodies(client string) {
	for g.bodies.take(client, 1<<10) {
	}
}

// BodiesHeld returns how many bytes of bodies are counted.
func (g *Gateway) BodiesHeld() int {
	g.bodies.mu.Lock()
	defer g.bodies.mu.Unlock()
	return g.bodies.total
}
