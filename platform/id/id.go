// Package id creates the ids of all stored objects.
//
// Ids are UUIDs of version 7. Their first 48 bits are the time in milliseconds, so rows
// that are created together are close together in an index. An id can be created before
// its row. In Go, ids are strings in the canonical form with lower case; in Postgres they
// have the type uuid.
//
// An id is not a secret: it contains its time of creation, and must never be used as a
// token.
package id

import (
	"time"

	"github.com/google/uuid"
)

// New returns a new id. It panics only when the operating system cannot provide random
// numbers, which no caller could handle.
func New() string { return uuid.Must(uuid.NewV7()).String() }

// NewEach returns n new ids.
func NewEach(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = New()
	}
	return ids
}

// Valid reports whether s is a UUID in canonical form: 36 characters, lower case. Other
// forms of the same UUID (braces, urn:uuid:, no hyphens) are refused, so that a resource
// has only one name in logs, caches and signatures.
func Valid(s string) bool {
	parsed, err := uuid.Parse(s)
	return err == nil && parsed.String() == s
}

// Time returns when an id was created, to the millisecond. It returns false when the id is
// not a UUID of version 7.
func Time(s string) (time.Time, bool) {
	parsed, err := uuid.Parse(s)
	if err != nil || parsed.Version() != 7 {
		return time.Time{}, false
	}
	seconds, nanoseconds := parsed.Time().UnixTime()
	return time.Unix(seconds, nanoseconds).UTC().Truncate(time.Millisecond), true
}
