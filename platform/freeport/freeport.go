// Package freeport returns addresses for tests and load programs whose servers must know
// their addresses before they listen.
package freeport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/gatehouse/gatehouse/platform/filelock"
)

// The ports are below those that the kernel uses for outgoing connections and for
// listeners on port 0. So the kernel cannot use a port before its server listens, or while
// that server restarts.
const lowest, span = 10000, 20000

const tries = 100

// taken contains the locks of the ports that this process got. They are held until the
// process ends, because callers do not report when they no longer need an address.
//
//nolint:gochecknoglobals // the locks belong to the process
var taken struct {
	mu    sync.Mutex
	locks []*filelock.Lock
}

// Address returns an address on the loopback interface on which no server listens. Until
// this process ends, no other process of this user and no later call gets the same
// address: test processes run at the same time, and each gets its addresses some time
// before it listens.
func Address(ctx context.Context) (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("gatehouse-ports-%d", os.Geteuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("freeport: %w", err)
	}
	var config net.ListenConfig
	var last error
	for range tries {
		port := strconv.Itoa(lowest + rand.IntN(span)) //nolint:gosec // a port is not a secret
		lock, err := filelock.Try(filepath.Join(dir, port))
		if err != nil {
			last = err
			continue
		}
		address := net.JoinHostPort("127.0.0.1", port)
		listener, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			last = errors.Join(err, lock.Release())
			continue
		}
		keep(lock)
		return address, listener.Close()
	}
	return "", errors.Join(errors.New("freeport: there is no free port"), last)
}

func keep(lock *filelock.Lock) {
	taken.mu.Lock()
	defer taken.mu.Unlock()
	taken.locks = append(taken.locks, lock)
}
