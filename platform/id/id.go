// Package id makes the identifiers of everything that Gatehouse stores.
//
// Ids are UUIDs of version 7: their first 48 bits are the time in milliseconds,
// so rows that were made together lie together in an index, and an id can be
// made before the row that it names. They are strings everywhere in Go, in the
// canonical lower-case spelling, and uuid in Postgres.
//
// An id is a name, not a secret: it tells when it was made and must never serve
// as a token.
package id

import (
	"time"

	"github.com/google/uuid"
)

// New returns a fresh id. It panics only when the operating system has no
// randomness to give, which no caller could handle.
func New() string { return uuid.Must(uuid.NewV7()).String() }

// NewEach returns as many fresh ids as are needed.
func NewEach(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = New()
	}
	return ids
}

// Valid reports whether s is a UUID in canonical spelling: 36 characters, lower
// case. Other spellings (braces, urn:uuid:, no hyphens) name the same UUID, and
// are refused so that one resource has one name in logs, caches and signatures.
func Valid(s string) bool {
	parsed, err := uuid.Parse(s)
	return err == nil && parsed.String() == s
}

// Time returns when an id was made, to the millisecond; false when it is no
// UUID of version 7.
func Time(s string) (time.Time, bool) {
	parsed, err := uuid.Parse(s)
	if err != nil || parsed.Version() != 7 {
		return time.Time{}, false
	}
	seconds, nanoseconds := parsed.Time().UnixTime()
	return time.Unix(seconds, nanoseconds).UTC().Truncate(time.Millisecond), true
}
