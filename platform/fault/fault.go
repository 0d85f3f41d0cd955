// Package fault is the one error type of Gatehouse.
//
// A [Fault] says three things: a stable [Reason], which clients switch on; a
// detail, which a person reads; and, for bad input, one violation per field.
// It may wrap a cause. The cause is for the log: it never leaves the process.
//
// What survives a process boundary is the reason, the detail, the violations
// and the time to wait. What does not is the cause and the Go type.
//
// The reasons, with the gRPC code and the HTTP status of each, are declared
// once, in proto/gatehouse/fault/v1/reason.proto. This package maps a fault to
// and from google.rpc.Status ([ToStatus], [FromStatus]) and to RFC 9457
// problem details ([NewProblem]). Domain code returns faults and imports
// neither gRPC's status package nor net/http.
//
//	if title == "" {
//		return fault.Invalid("title", "must not be empty")
//	}
//	if err := store.Rename(ctx, id, title); err != nil {
//		return err // already a fault
//	}
package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Reason is the stable cause of a failure that clients switch on.
type Reason = faultv1.Reason

// Violation is one broken rule of one field.
type Violation struct {
	// Field is the path of the field in JSON's spelling, for example
	// "tools[1].toolName".
	Field string `json:"field"`
	// Message says what the field must be, for a person.
	Message string `json:"message"`
}

// Fault is an error with a reason that crosses process boundaries.
type Fault struct {
	reason     Reason
	detail     string
	violations []Violation
	retryAfter time.Duration
	cause      error
}

// New returns a fault whose detail is shown to the caller.
func New(reason Reason, format string, args ...any) *Fault {
	return &Fault{reason: reason, detail: fmt.Sprintf(format, args...)}
}

// Wrap returns a fault with a cause. The detail is shown to the caller, the
// cause only to the log.
func Wrap(cause error, reason Reason, format string, args ...any) *Fault {
	f := New(reason, format, args...)
	f.cause = cause
	return f
}

// Invalid returns an INVALID_ARGUMENT fault for one field, named in JSON's
// spelling.
func Invalid(field, format string, args ...any) *Fault {
	message := fmt.Sprintf(format, args...)
	return &Fault{
		reason:     faultv1.Reason_REASON_INVALID_ARGUMENT,
		detail:     field + ": " + message,
		violations: []Violation{{Field: field, Message: message}},
	}
}

// FieldName spells the name of a field, or a path of names, as JSON does: what the
// contract calls display_name is displayName. JSON's own spelling stays as it is.
func FieldName(name string) string {
	var b strings.Builder
	upper := false
	for _, r := range name {
		switch {
		case r == '_':
			upper = true
		case upper:
			b.WriteRune(unicode.ToUpper(r))
			upper = false
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// NotFound returns a NOT_FOUND fault for a kind of resource. It does not
// repeat the id: the answer must be the same, byte for byte, for an absent id
// and for one of another organization.
func NotFound(kind string) *Fault {
	return New(faultv1.Reason_REASON_NOT_FOUND, "no such %s", kind)
}

// CheckEtag refuses a change of a kind of resource that builds on another state than
// the present one, by ETAG_MISMATCH. An empty etag builds on whatever stands.
func CheckEtag(kind, built, present string) error {
	if built != "" && built != present {
		return New(faultv1.Reason_REASON_ETAG_MISMATCH, "the %s changed since it was read", kind)
	}
	return nil
}

// Below returns a copy of f whose fields are named from inside the field at
// prefix, for a client that sends that field's value as the whole body.
func (f *Fault) Below(prefix string) *Fault {
	c := *f
	c.violations = make([]Violation, len(f.violations))
	for i, v := range f.violations {
		c.violations[i] = Violation{Field: strings.TrimPrefix(v.Field, prefix+"."), Message: v.Message}
	}
	if len(f.violations) > 0 {
		c.detail = strings.TrimPrefix(f.detail, prefix+".")
	}
	return &c
}

// WithRetryAfter returns a copy of f that tells the caller how long to wait.
func (f *Fault) WithRetryAfter(d time.Duration) *Fault {
	c := *f
	c.retryAfter = d
	return &c
}

// Error tells reason, detail and cause: it is what the log shows, never what a
// client sees.
func (f *Fault) Error() string {
	s := f.Name() + ": " + f.detail
	if f.cause != nil {
		s += ": " + f.cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.cause }

// Reason returns the stable reason.
func (f *Fault) Reason() Reason { return f.reason }

// Name returns the reason as it is spelled on the wire, for example NOT_FOUND.
func (f *Fault) Name() string { return Name(f.reason) }

// Detail returns the sentence that the caller reads.
func (f *Fault) Detail() string { return f.detail }

// Violations returns the broken rules, one per field.
func (f *Fault) Violations() []Violation { return f.violations }

// RetryAfter returns how long the caller should wait, or 0.
func (f *Fault) RetryAfter() time.Duration { return f.retryAfter }

// From returns err as a fault. A fault in the chain is returned as it is; a
// cancelled or expired context becomes CANCELLED or DEADLINE_EXCEEDED;
// anything else becomes INTERNAL with err as its cause. From(nil) is nil.
func From(err error) *Fault {
	if err == nil {
		return nil
	}
	var f *Fault
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.Canceled):
		return Wrap(err, faultv1.Reason_REASON_CANCELLED, "the request was cancelled")
	case errors.Is(err, context.DeadlineExceeded):
		return Wrap(err, faultv1.Reason_REASON_DEADLINE_EXCEEDED, "the answer was not ready in time")
	}
	if st, ok := grpcStatus(err); ok {
		return FromStatus(st)
	}
	return Wrap(err, faultv1.Reason_REASON_INTERNAL, "an internal error occurred")
}

// ReasonOf returns the reason of err, or REASON_UNSPECIFIED for nil.
func ReasonOf(err error) Reason {
	if err == nil {
		return faultv1.Reason_REASON_UNSPECIFIED
	}
	return From(err).reason
}

// Is tells whether err is a fault of the reason.
func Is(err error, reason Reason) bool { return err != nil && From(err).reason == reason }
