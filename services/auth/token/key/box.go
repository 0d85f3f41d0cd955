package key

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

const keyIDBytes = 8

// Box seals values in rows of the database with AES-256-GCM. A sealed value names its
// key, and can be opened only in its own row.
type Box struct {
	aead  cipher.AEAD
	keyID []byte
}

// NewBox derives a box from the installation's secret key. Boxes of different purposes
// cannot open each other's values.
func NewBox(secretKey []byte, purpose string) (*Box, error) {
	aead, keyID, err := derive(secretKey, purpose)
	if err != nil {
		return nil, err
	}
	return &Box{aead: aead, keyID: keyID}, nil
}

// Seal seals a text for the row with an id.
func (b *Box) Seal(text []byte, rowID string) []byte {
	nonce := make([]byte, b.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	sealed := append(bytes.Clone(b.keyID), nonce...)
	return b.aead.Seal(sealed, nonce, text, b.bound(rowID))
}

// Open returns what Seal sealed. It fails for a value of another row, an altered value,
// and a value that was sealed with another secret key.
func (b *Box) Open(sealed []byte, rowID string) ([]byte, error) {
	head := keyIDBytes + b.aead.NonceSize()
	if len(sealed) < head {
		return nil, errors.New("key: the sealed value is truncated")
	}
	if !bytes.Equal(sealed[:keyIDBytes], b.keyID) {
		return nil, errors.New("key: sealed with another secret key")
	}
	text, err := b.aead.Open(nil, sealed[keyIDBytes:head], sealed[head:], b.bound(rowID))
	if err != nil {
		return nil, fmt.Errorf("key: cannot be unsealed: %w", err)
	}
	return text, nil
}

func (b *Box) bound(rowID string) []byte { return append(bytes.Clone(b.keyID), rowID...) }

// derive returns the cipher of a purpose, and an id of its key that reveals nothing
// about it.
func derive(secretKey []byte, purpose string) (aead cipher.AEAD, keyID []byte, err error) {
	if len(secretKey) != 32 {
		return nil, nil, errors.New("key: the secret key must have 32 bytes")
	}
	derived, err := hkdf.Key(sha256.New, secretKey, nil, purpose, 32)
	if err == nil {
		keyID, err = hkdf.Key(sha256.New, secretKey, nil, purpose+"/id", keyIDBytes)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("key: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err == nil {
		aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("key: %w", err)
	}
	return aead, keyID, nil
}
