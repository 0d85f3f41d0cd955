package paging

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// maxTokenLength bounds the length of a token before it is decoded.
const maxTokenLength = 8 << 10

// Tokens signs and reads page tokens.
type Tokens struct{ key []byte }

// NewTokens derives the signing key from the installation's secret key, so that
// all processes accept each other's tokens.
func NewTokens(secretKey []byte) (*Tokens, error) {
	key, err := hkdf.Key(sha256.New, secretKey, nil, "gatehouse/paging", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("paging: %w", err)
	}
	return &Tokens{key: key}, nil
}

// encode returns the values and their signature as text that is safe in a URL.
// The values are data that the caller may read, so they are not encrypted.
func (t *Tokens) encode(values []string, binder string) (string, error) {
	payload, err := json.Marshal(values)
	if err != nil {
		return "", fmt.Errorf("paging: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(append(t.sign(payload, binder), payload...)), nil
}

var errToken = errors.New("paging: the token was not issued for this query")

func (t *Tokens) decode(token, binder string) ([]string, error) {
	if len(token) > maxTokenLength {
		return nil, errToken
	}
	// Strict refuses a token whose unused bits were changed.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < sha256.Size {
		return nil, errToken
	}
	signature, payload := raw[:sha256.Size], raw[sha256.Size:]
	if !hmac.Equal(signature, t.sign(payload, binder)) {
		return nil, errToken
	}
	var values []string
	if err := json.Unmarshal(payload, &values); err != nil {
		return nil, errToken
	}
	return values, nil
}

func (t *Tokens) sign(payload []byte, binder string) []byte {
	mac := hmac.New(sha256.New, t.key)
	// The hash of the binder has a fixed length, so the boundary between the two parts
	// is unambiguous.
	bound := sha256.Sum256([]byte(binder))
	mac.Write(bound[:])
	mac.Write(payload)
	return mac.Sum(nil)
}
