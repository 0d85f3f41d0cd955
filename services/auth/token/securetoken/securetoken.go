// Package securetoken creates random tokens, such as refresh tokens and the tokens of
// links. The client has the token, and the database its SHA-256, so a copy of the
// database is of no use. A token has 256 random bits, too many to search. So a slow
// hash or a salt would add nothing.
package securetoken

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

const tokenBytes = 32

// New returns a token in URL-safe base64 (RFC 4648 section 5), and the hash that is
// stored.
func New() (token string, hash []byte) {
	raw := make([]byte, tokenBytes)
	_, _ = rand.Read(raw) // never fails
	token = base64.RawURLEncoding.EncodeToString(raw)
	return token, Hash(token)
}

// Hash returns the hash with which a token is stored and found.
func Hash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
