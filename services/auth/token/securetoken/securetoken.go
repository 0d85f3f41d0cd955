// Package securetoken makes the tokens that mean nothing to who holds them: a refresh
// token, the token of a link in a mail. The holder has the token, the database its
// SHA-256, so that a copy of the database opens nothing. A token has 256 random
// bits, which no search reaches: a slow hash or a salt would add nothing.
package securetoken

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

const tokenBytes = 32

// New returns a token, in URL-safe base64 (RFC 4648 section 5), and the hash that
// is kept of it.
func New() (token string, hash []byte) {
	raw := make([]byte, tokenBytes)
	_, _ = rand.Read(raw) // never fails
	token = base64.RawURLEncoding.EncodeToString(raw)
	return token, Hash(token)
}

// Hash is what is kept of a token, to find it by.
func Hash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
