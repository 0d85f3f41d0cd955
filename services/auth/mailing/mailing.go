// Package mailing is how the rooms of auth write to people.
//
// A room hands a [Letter] to the [Office], in the transaction of what causes it:
// the letter leaves if and only if that commits, and however long the mail server
// is away. A job then has the [Postman] write it and send it, and tries again
// while that fails.
//
//	err := office.Send(ctx, tx, mailing.Letter{Kind: mailing.PasswordChanged, Address: u.Email, Locale: u.Locale})
//
// What a letter says comes from the template of its kind, filled with the data of
// the letter; or from a [Writer] that the room has registered for the kind, which
// looks at how things stand when the letter is written. Whatever opens something
// (the token of a link) is made by a writer, never before: it then lives as long
// as promised from when it was sent, and rests nowhere but in the mail. The rest
// waits in the job sealed, under a key that is not in the database.
//
// An address gets at most five letters of a kind in an hour. More are dropped
// without a word, since who asks for a letter must not learn from it whether an
// address is known here; known or not, asking is the same work.
package mailing

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/jobs"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

const (
	// perHour is how many letters of a kind an address gets.
	perHour = 5
	// attempts spread over about eleven hours.
	attempts = 12
	// keyBytes is the size of the keys that derive from the installation's secret.
	keyBytes = 32
)

// Kind is why a letter is written.
type Kind string

// Message is a letter that somebody is to get.
type Message struct {
	// ID is the letter's own; Send gives it one.
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Address is who gets it.
	Address string `json:"address"`
	// Locale is the reader's language (BCP 47); empty is English.
	Locale string `json:"locale,omitempty"`
	// Data is what the template is filled with, or what the writer has to know.
	Data map[string]string `json:"data,omitempty"`
	// OverLimit says that it is one too many for its address.
	OverLimit bool `json:"surplus,omitempty"`
}

// deliver is the job that writes and sends a letter.
type deliver struct {
	jobs.System
	ID     string `json:"id"`
	Sealed []byte `json:"sealed"`
}

// Kind implements jobs.Args.
func (deliver) Kind() string { return "deliver_letter" }

// Sealer seals letters for the time in which they wait.
type Sealer struct {
	aead cipher.AEAD
	// addressKey is what the addresses are hashed with that letters are counted by.
	addressKey []byte
}

// NewSealer derives its keys from the installation's secret.
func NewSealer(secretKey []byte) (*Sealer, error) {
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
	return &Sealer{aead: aead, addressKey: counting}, nil
}

// seal returns a letter's job.
func (s *Sealer) seal(l Message) (deliver, error) {
	raw, err := json.Marshal(l)
	if err != nil {
		return deliver{}, fmt.Errorf("mailing: %w", err)
	}
	sealed := s.aead.Seal(nil, nil, raw, []byte(l.ID)) //nolint:gosec // this GCM draws a nonce of its own
	return deliver{ID: l.ID, Sealed: sealed}, nil
}

func (s *Sealer) open(job deliver) (Message, error) {
	var l Message
	raw, err := s.aead.Open(nil, nil, job.Sealed, []byte(job.ID))
	if err == nil {
		err = json.Unmarshal(raw, &l)
	}
	if err != nil {
		// Another attempt would find the same.
		return l, fault.Wrap(err, faultv1.Reason_REASON_INVALID_ARGUMENT, "the letter cannot be opened with this secret key")
	}
	return l, nil
}

// addressHash is how an address is named where letters are counted.
func (s *Sealer) addressHash(address string) []byte {
	mac := hmac.New(sha256.New, s.addressKey)
	mac.Write([]byte(address))
	return mac.Sum(nil)
}

// QueueDeps is what an office needs; all of it.
type QueueDeps struct {
	Store  *Store
	Sealer *Sealer
	// Jobs is the queue whose workers deliver the letters.
	Jobs *jobs.Client
	// Limited says whether an address gets only so many letters.
	Limited bool
	Clock   clock.Clock
}

// Queue takes letters.
type Queue struct{ deps QueueDeps }

// NewQueue returns an office.
func NewQueue(deps QueueDeps) (*Queue, error) {
	if deps.Store == nil || deps.Sealer == nil || deps.Jobs == nil || deps.Clock == nil {
		return nil, errors.New("mailing: every dependency is required")
	}
	return &Queue{deps: deps}, nil
}

// Enqueue takes a letter in the transaction of what causes it. A letter too many
// for its address is dropped, but only by the postman: taking it is the same work.
func (o *Queue) Enqueue(ctx context.Context, tx postgres.Tx, l Message) error {
	l.ID = id.New()
	recipient := o.deps.Sealer.addressHash(user.NormalizeEmail(l.Address))
	n, err := o.deps.Store.count(ctx, tx, recipient, l.Kind, clock.Stamp(o.deps.Clock))
	if err != nil {
		return err
	}
	l.OverLimit = o.deps.Limited && n > perHour
	job, err := o.deps.Sealer.seal(l)
	if err != nil {
		return err
	}
	return o.deps.Jobs.Insert(ctx, tx, job, jobs.InsertOptions{MaxAttempts: attempts})
}

// EnqueueNow is Send in a transaction of its own.
func (o *Queue) EnqueueNow(ctx context.Context, l Message) error {
	return o.deps.Store.inTx(ctx, func(ctx context.Context, tx postgres.Tx) error { return o.Enqueue(ctx, tx, l) })
}

// Sweep forgets the counts of hours that are over.
func (o *Queue) Sweep(ctx context.Context) error {
	return o.deps.Store.deleteCounts(ctx, o.deps.Clock.Now().Add(-time.Hour))
}
