package run

import (
	"context"
	"sync"
)

// startsAtOnce is how many transactions that start runs a process executes at once for
// one user, and for one organization. Such transactions wait for each other in the
// database, and each occupies a connection, so further starts wait here instead.
const startsAtOnce = 4

// gates lets a few callers with the same key proceed at once; the others wait. The zero
// value is ready to use. Any goroutine may use it: mu guards the map and the counters, and
// is not held while a caller waits.
type gates struct {
	mu   sync.Mutex
	held map[string]*gate
}

type gate struct {
	slots   chan struct{}
	callers int // inside and waiting; the last one removes the gate
}

// enter waits until the caller may proceed, or ctx ends. The caller calls leave at the end.
func (g *gates) enter(ctx context.Context, key string) (leave func(), err error) {
	g.mu.Lock()
	if g.held == nil {
		g.held = map[string]*gate{}
	}
	one := g.held[key]
	if one == nil {
		one = &gate{slots: make(chan struct{}, startsAtOnce)}
		g.held[key] = one
	}
	one.callers++
	g.mu.Unlock()
	forget := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if one.callers--; one.callers == 0 {
			delete(g.held, key)
		}
	}
	select {
	case one.slots <- struct{}{}:
		return func() {
			<-one.slots
			forget()
		}, nil
	case <-ctx.Done():
		forget()
		return nil, context.Cause(ctx)
	}
}
