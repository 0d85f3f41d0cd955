// Package apikey makes and recognizes API keys, and finds out whose one is.
//
// A key is "gh_", 43 characters of random base62 and 6 of a checksum (CRC-32), so
// that a scanner for leaked secrets can tell one from chance, and a mistyped one
// is refused without asking anybody. Only the SHA-256 of a key is stored.
//
// Services ask auth whose a key is ([Source]) and believe the answer for
// [Believed]: what becomes of the key or of its user takes effect as soon.
//
// A publishable key ("pk_", of the same form) is no secret and no credential: it
// says on the pages of its origins which organization they belong to
// ([PublishableResolver]).
package apikey

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"math/big"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/identity"
)

const (
	// Prefix is how every key begins.
	Prefix = "gh_"
	// Believed is how long an answer of auth is believed.
	Believed = 3 * time.Second

	secretBytes    = 32
	secretLength   = 43
	checksumLength = 6
	shownLength    = len(Prefix) + 6
	alphabet       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// New returns a new key.
func New() string { return generate(Prefix) }

func generate(prefix string) string {
	raw := make([]byte, secretBytes)
	_, _ = rand.Read(raw) // never fails
	secret := base62(new(big.Int).SetBytes(raw), secretLength)
	return prefix + secret + checksum(secret)
}

// Shown is how a key begins, by which its user tells it from others.
func Shown(key string) string { return key[:shownLength] }

// Hash is what is stored of a key.
func Hash(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// Is tells whether a credential is meant to be a key.
func Is(credential string) bool { return strings.HasPrefix(credential, Prefix) }

// WellFormed tells whether a text can be one of our keys.
func WellFormed(key string) bool { return wellFormed(Prefix, key) }

func wellFormed(prefix, key string) bool {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok || len(rest) != secretLength+checksumLength {
		return false
	}
	return checksum(rest[:secretLength]) == rest[secretLength:]
}

func checksum(secret string) string {
	return base62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(secret)))), checksumLength)
}

// base62 writes a number with leading zeros.
func base62(n *big.Int, length int) string {
	out := []byte(strings.Repeat(alphabet[:1], length))
	base, digit := big.NewInt(int64(len(alphabet))), new(big.Int)
	for i := length - 1; i >= 0 && n.Sign() > 0; i-- {
		n, digit = new(big.Int).QuoRem(n, base, digit)
		out[i] = alphabet[digit.Int64()]
	}
	return string(out)
}

// Key is whose a key is, and what it may do now.
type Key struct {
	ID, UserID, OrganizationID string
	// Permissions are those that custom roles among Roles give.
	Roles, Permissions, Scopes []string
	// ServiceAccount says that the user is no person.
	ServiceAccount bool
}

// Source answers whose the key with a hash is, or UNAUTHENTICATED.
type Source func(ctx context.Context, hash [sha256.Size]byte) (Key, error)

// Resolver finds out whose keys are. It is safe for concurrent use.
type Resolver struct {
	source Source
	known  *answers[[sha256.Size]byte, *identity.Principal]
}

// NewResolver returns a resolver that asks a source.
func NewResolver(source Source, clk clock.Clock) (*Resolver, error) {
	known, err := newAnswers[[sha256.Size]byte, *identity.Principal](clk)
	if err != nil {
		return nil, err
	}
	return &Resolver{source: source, known: known}, nil
}

// Resolve returns whom a key speaks for, or UNAUTHENTICATED. When auth cannot be
// asked, the key is neither believed nor refused: the error is auth's.
func (r *Resolver) Resolve(ctx context.Context, key string) (*identity.Principal, error) {
	if !WellFormed(key) {
		return nil, identity.Unauthenticated()
	}
	hash := Hash(key)
	return r.known.of(hash, func(now time.Time) (*identity.Principal, error) {
		found, err := r.source(ctx, hash)
		if err != nil {
			return nil, err
		}
		return &identity.Principal{
			UserID: found.UserID, OrganizationID: found.OrganizationID, Roles: found.Roles, Permissions: found.Permissions,
			Scopes: found.Scopes, ServiceAccount: found.ServiceAccount,
			// A key that is deleted ends as a session does.
			SessionID: found.ID, ClientID: identity.APIKey, IssueTime: now, Token: key,
		}, nil
	})
}
