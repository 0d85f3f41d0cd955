// Package fault is the one error type of Gatehouse.
//
// A [Fault] has three parts: a stable [Reason] for client code, a detail for people,
// and, for bad input, one violation per field. It may wrap a cause. The cause is for the
// log and never leaves the process.
//
// The reason, the detail, the violations and the time to wait cross process boundaries.
// The cause and the Go type do not.
//
// The reasons, with the gRPC code and the HTTP status of each, are declared
// in proto/gatehouse/fault/v1/reason.proto. This package converts a fault to
// and from google.rpc.Status ([ToStatus], [FromStatus]) and to RFC 9457
// problem details ([NewProblem]). Domain code returns faults, and does not import
// gRPC's status package or net/http.
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
	// Field is the path of the field as in JSON, for example "tools[1].toolName".
	Field string `json:"field"`
	// Message describes for people what the field must be.
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

// Invalid returns an INVALID_ARGUMENT fault for one field. Its name is converted to JSON.
func Invalid(field, format string, args ...any) *Fault {
	message := fmt.Sprintf(format, args...)
	return &Fault{
		reason:     faultv1.Reason_REASON_INVALID_ARGUMENT,
		detail:     field + ": " + message,
		violations: []Violation{{Field: field, Message: message}},
	}
}

// FieldName converts the name of a field, or a path of names, from the contract to JSON:
// display_name becomes displayName. It does not change names that are in JSON form.
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

// NotFound returns a NOT_FOUND fault for a kind of resource. It does not contain the id:
// the response must be the same, byte for byte, for an unknown id and for an id of
// another organization.
func NotFound(kind string) *Fault {
	return New(faultv1.Reason_REASON_NOT_FOUND, "no such %s", kind)
}

// CheckEtag returns ETAG_MISMATCH for a kind of resource when a change is based on another
// state than the present one. An empty etag matches every state.
func CheckEtag(kind, built, present string) error {
	if built != "" && built != present {
		return New(faultv1.Reason_REASON_ETAG_MISMATCH, "the %s changed since it was read", kind)
	}
	return nil
}

// Below returns a copy of f with field paths relative to the field at prefix, for a
// client that sends the value of that field as the whole body.
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

// WithRetryAfter returns a copy of f with the time that the caller should wait.
func (f *Fault) WithRetryAfter(d time.Duration) *Fault {
	c := *f
	c.retryAfter = d
	return &c
}

// Error returns reason, detail and cause. It is for the log; clients never receive it.
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

// Name returns the name of the reason in responses, for example NOT_FOUND.
func (f *Fault) Name() string { return Name(f.reason) }

// Detail returns the sentence that the caller reads.
func (f *Fault) Detail() string { return f.detail }

// Violations returns the broken rules, one per field.
func (f *Fault) Violations() []Violation { return f.violations }

// RetryAfter returns how long the caller should wait, or 0.
func (f *Fault) RetryAfter() time.Duration { return f.retryAfter }

// From returns err as a fault. It returns a fault in the chain unchanged. A canceled or
// expired context becomes CANCELLED or DEADLINE_EXCEEDED. Any other error becomes
// INTERNAL with err as its cause. From(nil) is nil.
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

// Is reports whether err is a fault with the reason.
func Is(err error, reason Reason) bool { return err != nil && From(err).reason == reason }
