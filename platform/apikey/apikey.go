// Package apikey creates, recognizes and resolves API keys.
//
// A key is "gh_", 43 characters of random base62 and 6 characters of a checksum
// (CRC-32). With the checksum, a scanner for leaked secrets can distinguish a key from
// random text, and a mistyped key is refused without a call to auth. Only the SHA-256
// of a key is stored.
//
// Services ask auth for the owner of a key ([Source]) and cache the answer for
// [CacheTTL]. Changes to the key or to its user take effect within this time.
//
// A publishable key ("pk_", of the same form) is not a secret and not a credential. Web
// pages use it to name the organization to which they belong.
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
	// Prefix is the prefix of every key.
	Prefix = "gh_"
	// CacheTTL is how long an answer of auth is cached.
	CacheTTL = 3 * time.Second

	secretBytes    = 32
	secretLength   = 43
	checksumLength = 6
	hintLength     = len(Prefix) + 6
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

// Hint returns the beginning of a key, by which its user recognizes it.
func Hint(key string) string { return key[:hintLength] }

// Hash returns the hash of a key, which is stored instead of the key.
func Hash(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// HasPrefix reports whether a credential begins like a key.
func HasPrefix(credential string) bool { return strings.HasPrefix(credential, Prefix) }

// WellFormed reports whether a text has the form and the checksum of a key.
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

// base62 formats a number in base 62, with leading zeros.
func base62(n *big.Int, length int) string {
	out := []byte(strings.Repeat(alphabet[:1], length))
	base, digit := big.NewInt(int64(len(alphabet))), new(big.Int)
	for i := length - 1; i >= 0 && n.Sign() > 0; i-- {
		n, digit = new(big.Int).QuoRem(n, base, digit)
		out[i] = alphabet[digit.Int64()]
	}
	return string(out)
}

// Key is the owner of a key, with its present rights.
type Key struct {
	ID, UserID, OrganizationID string
	// Permissions are the permissions of the custom roles among Roles.
	Roles, Permissions, Scopes []string
	// ServiceAccount reports whether the user is a service account.
	ServiceAccount bool
}

// Source returns the owner of the key with a hash, or UNAUTHENTICATED.
type Source func(ctx context.Context, hash [sha256.Size]byte) (Key, error)

// Resolver finds the owners of keys. It is safe for concurrent use.
type Resolver struct {
	source Source
	known  *answers[[sha256.Size]byte, *identity.Principal]
}

// NewResolver returns a resolver that uses a source.
func NewResolver(source Source, clk clock.Clock) (*Resolver, error) {
	known, err := newAnswers[[sha256.Size]byte, *identity.Principal](clk)
	if err != nil {
		return nil, err
	}
	return &Resolver{source: source, known: known}, nil
}

// Resolve returns the principal of a key, or UNAUTHENTICATED. When auth is unavailable,
// it returns the error of the call to auth, because the key may be valid.
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
			// The deletion of a key is a revocation of a session with this id.
			SessionID: found.ID, ClientID: identity.APIKey, IssueTime: now, Token: key,
		}, nil
	})
}
