// Package key is the room of the Ed25519 keys that sign tokens.
//
// One key signs at a time. Its successor is created a whole period before it signs, and
// is published from then on, so every verifier knows it before it sees the first token.
// A key that no longer signs stays published until the last token that it signed has
// expired.
//
// The private half is stored sealed with AES-256-GCM, under a key that is derived from
// the installation's secret key, and bound to the row. A reader of the database cannot
// sign, and rows cannot be exchanged.
package key

import (
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// Period is how long a key signs.
	Period = 30 * 24 * time.Hour
	// Lead is the least time for which a key is published before it signs.
	Lead = time.Hour
	// Settled is how long a key must have been published before an administrator can
	// make it sign early. By then every verifier has read the keys again.
	Settled = 2 * time.Minute
	// Retention is how long a key stays published after it last signed. It is longer
	// than the lifetime of any token.
	Retention = time.Hour
)

// Key is a signing key as it is stored.
type Key struct {
	ID, KID string
	Public  ed25519.PublicKey
	Sealed  []byte
	// SignsAt is when the key replaces its predecessor.
	SignsAt, CreateTime time.Time
}

// Sealer seals private keys.
type Sealer struct{ aead cipher.AEAD }

// NewSealer derives the sealing key from the installation's secret key.
func NewSealer(secretKey []byte) (*Sealer, error) {
	aead, _, err := derive(secretKey, "gatehouse/auth/signing-keys")
	if err != nil {
		return nil, err
	}
	return &Sealer{aead: aead}, nil
}

// Generate creates a key that signs from signsAt on.
func (s *Sealer) Generate(now, signsAt time.Time) (Key, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("key: %w", err)
	}
	digest := sha256.Sum256(public)
	k := Key{
		ID: id.New(), KID: base64.RawURLEncoding.EncodeToString(digest[:12]), Public: public,
		SignsAt: signsAt, CreateTime: now,
	}
	nonce := make([]byte, s.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	k.Sealed = s.aead.Seal(nonce, nonce, private.Seed(), k.bound())
	return k, nil
}

// Open returns the private key of a row. It fails when the row was altered, or was
// sealed with another secret key.
func (s *Sealer) Open(k Key) (identity.SigningKey, error) {
	if len(k.Sealed) < s.aead.NonceSize() {
		return identity.SigningKey{}, errors.New("key: the sealed key is truncated")
	}
	nonce, text := k.Sealed[:s.aead.NonceSize()], k.Sealed[s.aead.NonceSize():]
	seed, err := s.aead.Open(nil, nonce, text, k.bound())
	if err != nil {
		return identity.SigningKey{}, fmt.Errorf("key: %s cannot be unsealed with this secret key: %w", k.KID, err)
	}
	private := ed25519.NewKeyFromSeed(seed)
	if !k.Public.Equal(private.Public()) {
		return identity.SigningKey{}, fmt.Errorf("key: the public half of %s belongs to another key", k.KID)
	}
	return identity.SigningKey{ID: k.KID, Private: private}, nil
}

func (k Key) bound() []byte { return []byte(k.KID + "/" + k.ID) }

// Next returns the key that replaces the signing key when an administrator requests it
// now. It is CONFLICT when that key is so new that a service may not have read it.
func Next(keys []Key, now time.Time) (Key, error) {
	if len(keys) == 0 || !keys[len(keys)-1].SignsAt.After(now) {
		return Key{}, fault.New(faultv1.Reason_REASON_CONFLICT, "the next key does not exist yet: start auth first")
	}
	next := keys[len(keys)-1]
	if wait := next.CreateTime.Add(Settled).Sub(now); wait > 0 {
		return Key{}, fault.New(faultv1.Reason_REASON_CONFLICT, "the next key is new, and not every service has read it: try again in %s",
			wait.Round(time.Second)).WithRetryAfter(wait)
	}
	return next, nil
}

// Plan returns what a rotation does with the keys, oldest first: when each new key
// begins to sign, and which keys to delete.
func Plan(keys []Key, now time.Time) (begin []time.Time, remove []string) {
	last := now
	if len(keys) > 0 {
		last = keys[len(keys)-1].SignsAt
	}
	// The first key, or a replacement for one that was lost before its successor signs.
	if len(keys) == 0 || keys[0].SignsAt.After(now) {
		begin = append(begin, now)
	}
	if !last.After(now) {
		next := last.Add(Period)
		// After a long downtime the successor is late. It is still published before
		// it signs.
		if earliest := now.Add(Lead); next.Before(earliest) {
			next = earliest
		}
		begin = append(begin, next)
	}
	for i := 0; i+1 < len(keys); i++ {
		if keys[i+1].SignsAt.Add(Retention).Before(now) {
			remove = append(remove, keys[i].ID)
		}
	}
	return begin, remove
}
