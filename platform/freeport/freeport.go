// Package freeport finds addresses for tests and load programs whose server must
// know its own address before it listens.
package freeport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// The ports lie below those that the kernel gives to outgoing connections and to
// listeners that ask for any, so that none of them can take one before its server
// listens, or while that server is away.
const lowest, span = 10000, 20000

const tries = 100

// Address returns an address on the loopback on which nobody listens.
func Address(ctx context.Context) (string, error) {
	var config net.ListenConfig
	var last error
	for range tries {
		address := fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(span)) //nolint:gosec // a port is no secret
		listener, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			last = err
			continue
		}
		return address, listener.Close()
	}
	return "", errors.Join(errors.New("freeport: there is no free port"), last)
}
