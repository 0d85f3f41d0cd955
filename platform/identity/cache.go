package identity

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/gatehouse/gatehouse/platform/clock"
)

const (
	// verifiedTTL bounds how long a verification is cached, so that tokens of a
	// withdrawn key are soon refused.
	verifiedTTL = 10 * time.Second
	// verifiedEntries bounds the memory, at about 1 KiB an entry.
	verifiedEntries = 2048
)

// verified caches the content of recently verified tokens. A client sends the same token
// many times a minute, and verifying the signature is the most expensive part of a small
// request. The keys are whole tokens, so a token that differs in one bit is not found.
type verified[T any] struct {
	clock   clock.Clock
	entries *lru.Cache[string, verifiedEntry[T]]
}

type verifiedEntry[T any] struct {
	value T
	until time.Time
}

func newVerified[T any](clk clock.Clock) *verified[T] {
	entries, err := lru.New[string, verifiedEntry[T]](verifiedEntries)
	if err != nil {
		panic(err) // only a size below 1 fails
	}
	return &verified[T]{clock: clk, entries: entries}
}

func (v *verified[T]) get(token string) (T, bool) {
	entry, ok := v.entries.Get(token)
	if !ok || !v.clock.Now().Before(entry.until) {
		var zero T
		return zero, false
	}
	return entry.value, true
}

// put caches a value until the token expires, at most for verifiedTTL.
func (v *verified[T]) put(token string, value T, expires time.Time) {
	until := v.clock.Now().Add(verifiedTTL)
	if expires.Before(until) {
		until = expires
	}
	v.entries.Add(token, verifiedEntry[T]{value: value, until: until})
}
