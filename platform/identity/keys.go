package identity

import (
	"context"
	"crypto/ed25519"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse/gatehouse/platform/clock"
)

const (
	// keyRefetchInterval bounds how often unknown key ids cause a fetch, because an
	// attacker can choose them.
	keyRefetchInterval = 30 * time.Second
	// keyMaxAge bounds how long a withdrawn key is still accepted.
	keyMaxAge = time.Minute
	// keyFetchTimeout bounds one fetch.
	keyFetchTimeout = 3 * time.Second
)

// FetchKeys fetches the published keys, by key id.
type FetchKeys func(ctx context.Context) (map[string]ed25519.PublicKey, error)

// Keys caches published keys. It fetches when it has no keys, when its keys are older
// than a minute, and for an unknown key id at most once in 30 seconds. While the source
// is unavailable, cached keys remain valid.
type Keys struct {
	fetch  FetchKeys
	clock  clock.Clock
	flight singleflight.Group

	mu        sync.RWMutex
	keys      map[string]ed25519.PublicKey
	fetchedAt time.Time
	triedAt   time.Time
}

// NewKeys returns a cache over a source.
func NewKeys(fetch FetchKeys, clk clock.Clock) *Keys {
	return &Keys{fetch: fetch, clock: clk}
}

// Key implements [KeySource].
func (k *Keys) Key(ctx context.Context, kid string) (ed25519.PublicKey, bool, error) {
	key, known, fetch := k.lookup(kid)
	if !fetch {
		return key, known, nil
	}
	err := k.refresh(ctx)
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.keys == nil {
		return nil, false, err
	}
	key, known = k.keys[kid]
	return key, known, nil
}

// lookup returns the cached key of an id, and whether to fetch first.
func (k *Keys) lookup(kid string) (key ed25519.PublicKey, known, fetch bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	now := k.clock.Now()
	key, known = k.keys[kid]
	switch {
	case k.keys == nil:
		return nil, false, true
	case now.Sub(k.fetchedAt) > keyMaxAge, !known:
		return key, known, now.Sub(k.triedAt) >= keyRefetchInterval
	default:
		return key, known, false
	}
}

// refresh fetches once for all waiting callers. The fetch continues when a caller
// cancels, so that one canceled request does not fail the others.
func (k *Keys) refresh(ctx context.Context) error {
	result := k.flight.DoChan("jwks", func() (any, error) {
		fetchCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyFetchTimeout)
		defer cancel()
		keys, err := k.fetch(fetchCtx)
		now := k.clock.Now()
		k.mu.Lock()
		defer k.mu.Unlock()
		k.triedAt = now
		if err == nil {
			k.keys, k.fetchedAt = keys, now
		}
		return nil, err
	})
	select {
	case r := <-result:
		return r.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}
