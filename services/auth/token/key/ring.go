package key

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// fresh is how long the ring uses the keys that it read.
	fresh = 5 * time.Second
	// unknownEvery bounds how often unknown key ids cause a read.
	unknownEvery = time.Second
	// readTimeout bounds a read, for which other callers wait.
	readTimeout = 5 * time.Second
)

// Ring is the keys of a process. It signs with the current key and verifies with all.
// It implements identity.KeySource without a network call.
type Ring struct {
	store  *Store
	sealer *Sealer
	clock  clock.Clock

	mu   sync.Mutex
	keys []Key
	// opened is the private key that signs.
	opened identity.SigningKey
	readAt time.Time
}

// NewRing returns a ring. It reads the keys when they are first needed.
func NewRing(store *Store, sealer *Sealer, clk clock.Clock) *Ring {
	return &Ring{store: store, sealer: sealer, clock: clk}
}

// Rotate creates the keys that are due and deletes those that are no longer needed. It
// does nothing when nothing is due. Any number of processes may run it at once.
func (r *Ring) Rotate(ctx context.Context) error {
	err := r.store.change(ctx, func(ctx context.Context, tx postgres.Tx, keys []Key) error {
		now := r.clock.Now()
		begin, remove := Plan(keys, now)
		for _, signsAt := range begin {
			k, err := r.sealer.Generate(now, signsAt)
			if err != nil {
				return err
			}
			if err := r.store.insert(ctx, tx, k); err != nil {
				return err
			}
		}
		if len(remove) == 0 {
			return nil
		}
		return r.store.delete(ctx, tx, remove)
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.read(ctx)
}

// Advance makes the next key sign from now on, and creates its successor. Tokens that
// the current key signed stay valid until they expire. Each auth process follows within
// seconds.
func (r *Ring) Advance(ctx context.Context) error {
	err := r.store.change(ctx, func(ctx context.Context, tx postgres.Tx, keys []Key) error {
		now := clock.Stamp(r.clock)
		next, err := Next(keys, now)
		if err != nil {
			return err
		}
		return r.store.signFrom(ctx, tx, next.ID, now)
	})
	if err != nil {
		return err
	}
	return r.Rotate(ctx)
}

// Check opens every key that signs now or later. Its error names those that cannot be
// opened, and what to do.
func (r *Ring) Check(ctx context.Context) error {
	keys, err := r.store.list(ctx)
	if err != nil {
		return err
	}
	now := r.clock.Now()
	var problems []error
	for i, k := range keys {
		if i+1 < len(keys) && !keys[i+1].SignsAt.After(now) {
			continue // the key only verifies
		}
		if _, err := r.sealer.Open(k); err != nil {
			problems = append(problems, fmt.Errorf(`%w
GATEHOUSE_SECRET_KEY is not the one with which it was sealed, or its row in auth.signing_keys was altered.
Restore either from a backup, or run: gatehouse keys discard %s
which invalidates the tokens that it signed and creates another key; sessions continue`, err, k.KID))
		}
	}
	return errors.Join(problems...)
}

// Discard deletes a key in any state, and creates the keys that are then missing. The
// tokens that it signed are no longer valid. An unknown key is NOT_FOUND.
func (r *Ring) Discard(ctx context.Context, kid string) error {
	err := r.store.change(ctx, func(ctx context.Context, tx postgres.Tx, keys []Key) error {
		for _, k := range keys {
			if k.KID == kid {
				return r.store.delete(ctx, tx, []string{k.ID})
			}
		}
		return fault.NotFound("signing key")
	})
	if err != nil {
		return err
	}
	return r.Rotate(ctx)
}

// Signing returns the key that signs now.
func (r *Ring) Signing(ctx context.Context) (identity.SigningKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(ctx, fresh); err != nil {
		return identity.SigningKey{}, err
	}
	now := r.clock.Now()
	for i := len(r.keys) - 1; i >= 0; i-- {
		k := r.keys[i]
		if k.SignsAt.After(now) {
			continue
		}
		if r.opened.ID != k.KID {
			opened, err := r.sealer.Open(k)
			if err != nil {
				return identity.SigningKey{}, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the signing key cannot be used")
			}
			r.opened = opened
		}
		return r.opened, nil
	}
	return identity.SigningKey{}, fault.New(faultv1.Reason_REASON_UNAVAILABLE, "there is no signing key yet").WithRetryAfter(time.Second)
}

// Key implements identity.KeySource.
func (r *Ring) Key(ctx context.Context, kid string) (ed25519.PublicKey, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, within := range []time.Duration{fresh, unknownEvery} {
		if err := r.refresh(ctx, within); err != nil {
			return nil, false, err
		}
		for _, k := range r.keys {
			if k.KID == kid {
				return k.Public, true, nil
			}
		}
	}
	return nil, false, nil
}

// Published returns the keys that verify tokens, including the next one.
func (r *Ring) Published(ctx context.Context) ([]Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(ctx, fresh); err != nil {
		return nil, err
	}
	return append([]Key(nil), r.keys...), nil
}

// refresh reads the keys when they were read longer ago than within. Known keys stay in
// use while the database does not respond.
func (r *Ring) refresh(ctx context.Context, within time.Duration) error {
	if len(r.keys) > 0 && r.clock.Now().Sub(r.readAt) < within {
		return nil
	}
	if err := r.read(ctx); err != nil && len(r.keys) == 0 {
		return err
	}
	return nil
}

func (r *Ring) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	// A failed read counts too, so that an outage does not make every call wait.
	r.readAt = r.clock.Now()
	keys, err := r.store.list(ctx)
	if err != nil {
		return err
	}
	r.keys = keys
	return nil
}
