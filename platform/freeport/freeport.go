// Package freeport finds addresses for tests and load programs whose server must
// know its own address before it listens.
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

// The ports lie below those that the kernel gives to outgoing connections and to
// listeners that ask for any, so that none of them can take one before its server
// listens, or while that server is away.
const lowest, span = 10000, 20000

const tries = 100

// taken are the locks of the ports that this process was given. They are held until it
// ends, as nobody says when an address is no longer needed.
//
//nolint:gochecknoglobals // the kernel's locks are the process's
var taken struct {
	mu    sync.Mutex
	locks []*filelock.Lock
}

// Address returns an address on the loopback on which nobody listens. No other process of
// this user, and no later call, gets it before this process has ended: test processes run
// beside each other, and each asks for its addresses some time before it listens.
func Address(ctx context.Context) (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("gatehouse-ports-%d", os.Geteuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("freeport: %w", err)
	}
	var config net.ListenConfig
	var last error
	for range tries {
		port := strconv.Itoa(lowest + rand.IntN(span)) //nolint:gosec // a port is no secret
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
