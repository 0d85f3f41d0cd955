package gateway

import "time"

// SetReaderTimeout shortens how long a reader may take nothing.
func (g *Gateway) SetReaderTimeout(d time.Duration) { g.streams.readerTimeout = d }

// FillBodies takes the room for large bodies that a client address has left.
func (g *Gateway) FillBodies(client string) {
	for g.bodies.take(client, 1<<10) {
	}
}

// BodiesHeld is how many bytes of bodies are counted.
func (g *Gateway) BodiesHeld() int {
	g.bodies.mu.Lock()
	defer g.bodies.mu.Unlock()
	return g.bodies.total
}
