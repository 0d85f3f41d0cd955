package fault

import (
	"fmt"
	"strings"

	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// MaxViolations is how many violations a fault lists. Its detail states how
	// many there are.
	MaxViolations = 20
	// maxFieldPath bounds the path of a violation in bytes, because a client may choose
	// names in it.
	maxFieldPath = 256
)

// Collector gathers the broken rules of one request. It keeps the first
// [MaxViolations] and counts the rest, so that its cost does not grow with what
// a client sends. The zero value is empty.
type Collector struct {
	kept  []Violation
	total int
}

// Add records a broken rule of a field, named as [Violation] describes.
func (c *Collector) Add(field, message string) {
	c.total++
	if len(c.kept) == MaxViolations {
		return
	}
	if len(field) > maxFieldPath {
		field = strings.ToValidUTF8(field[:maxFieldPath], "") + "…"
	}
	c.kept = append(c.kept, Violation{Field: field, Message: message})
}

// Count records n more broken rules without listing them.
func (c *Collector) Count(n int) { c.total += n }

// Total returns how many broken rules were recorded.
func (c *Collector) Total() int { return c.total }

// Fault returns an INVALID_ARGUMENT fault that lists the recorded violations, or
// nil when there are none.
func (c *Collector) Fault() *Fault {
	if len(c.kept) == 0 {
		return nil
	}
	first := c.kept[0]
	f := New(faultv1.Reason_REASON_INVALID_ARGUMENT, "%s: %s", first.Field, first.Message)
	switch {
	case c.total > len(c.kept):
		f.detail += fmt.Sprintf(" (the first of %d violations, of which %d are listed)", c.total, len(c.kept))
	case c.total > 1:
		f.detail += fmt.Sprintf(" (the first of %d violations)", c.total)
	}
	f.violations = c.kept
	return f
}

// WithViolations returns a copy of f that lists the violations of c instead of
// its own.
func (f *Fault) WithViolations(c *Collector) *Fault {
	out := *f
	out.violations = c.kept
	return &out
}

// WithViolation returns a copy of f that names one bad field instead of its own
// violations. For several, use a [Collector].
func (f *Fault) WithViolation(field, message string) *Fault {
	var c Collector
	c.Add(field, message)
	return f.WithViolations(&c)
}
