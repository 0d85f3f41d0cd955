package mailing

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/jobs"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// keyBytes is the size of the keys derived from the installation's secret.
const keyBytes = 32

// deliver is the job that composes and sends an email.
type deliver struct {
	jobs.System
	ID     string `json:"id"`
	Sealed []byte `json:"sealed"`
}

// Kind implements [jobs.Args].
func (deliver) Kind() string { return "deliver_letter" }

// sealer seals the messages in the queue.
type sealer struct {
	aead cipher.AEAD
	// addressKey is the key of the hashes by which emails to an address are counted.
	addressKey []byte
}

// newSealer derives the keys of a sealer from the installation's secret.
func newSealer(secretKey []byte) (*sealer, error) {
	sealing, err := hkdf.Key(sha256.New, secretKey, nil, "gatehouse/mailing/seal", keyBytes)
	if err != nil {
		return nil, fmt.Errorf("mailing: %w", err)
	}
	counting, err := hkdf.Key(sha256.New, secretKey, nil, "gatehouse/mailing/count", keyBytes)
	if err != nil {
		return nil, fmt.Errorf("mailing: %w", err)
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, fmt.Errorf("mailing: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("mailing: %w", err)
	}
	return &sealer{aead: aead, addressKey: counting}, nil
}

// seal returns the job of a message.
func (s *sealer) seal(m Message) (deliver, error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return deliver{}, fmt.Errorf("mailing: %w", err)
	}
	sealed := s.aead.Seal(nil, nil, raw, []byte(m.ID)) //nolint:gosec // this GCM chooses a random nonce itself
	return deliver{ID: m.ID, Sealed: sealed}, nil
}

// open returns the message of a job.
func (s *sealer) open(job deliver) (Message, error) {
	var m Message
	raw, err := s.aead.Open(nil, nil, job.Sealed, []byte(job.ID))
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		// A retry would fail in the same way.
		return m, fault.Wrap(err, faultv1.Reason_REASON_INVALID_ARGUMENT, "the email cannot be opened with this secret key")
	}
	return m, nil
}

// addressHash returns the hash of an address by which its emails are counted.
func (s *sealer) addressHash(address string) []byte {
	mac := hmac.New(sha256.New, s.addressKey)
	mac.Write([]byte(address))
	return mac.Sum(nil)
}
