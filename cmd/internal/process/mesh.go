package process

import (
	"context"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc/test/bufconn"

	"github.com/gatehouse/gatehouse/platform/rpcclient"
)

// bufferBytes is the size of the buffer for one direction of an in-memory connection. It fits what
// gRPC writes at once. A larger buffer would only use memory.
const bufferBytes = 256 << 10

// mesh connects the services: over TCP, or in memory when they share a process. The servers and
// their interceptors are the same in both cases.
type mesh struct {
	addresses map[string]string
	inMemory  bool

	mu        sync.Mutex
	listeners map[string]*bufconn.Listener
}

func newMesh(addresses map[string]string, inMemory bool) *mesh {
	return &mesh{addresses: addresses, inMemory: inMemory, listeners: map[string]*bufconn.Listener{}}
}

// buffer returns the in-memory listener of a service. The first call creates it, since peers may
// dial before the service listens.
func (m *mesh) buffer(service string) *bufconn.Listener {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.listeners[service]
	if l == nil {
		l = bufconn.Listen(bufferBytes)
		m.listeners[service] = l
	}
	return l
}

func (m *mesh) listen(ctx context.Context, service string) (net.Listener, error) {
	if m.inMemory {
		return m.buffer(service), nil
	}
	return listenTCP(ctx, m.addresses[service])
}

func (m *mesh) peer(service string) rpcclient.Peer {
	if m.inMemory {
		return rpcclient.Peer{Name: service, DialContext: func(ctx context.Context) (net.Conn, error) {
			return m.buffer(service).DialContext(ctx)
		}}
	}
	return rpcclient.Peer{Name: service, DialContext: rpcclient.TCP(m.addresses[service])}
}

func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}
