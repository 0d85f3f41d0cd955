package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// attemptError is the stored error of a failed attempt. Its text may be shown to clients.
// The cause is in the chain, for the log.
type attemptError struct {
	fault *fault.Fault
	// final reports that another attempt would fail in the same way.
	final bool
}

// Error returns the text without the cause.
func (e *attemptError) Error() string { return e.fault.Name() + ": " + e.fault.Detail() }

// Unwrap returns the fault with its cause.
func (e *attemptError) Unwrap() error { return e.fault }

// verdict converts the error of a handler for River.
func verdict(err error) error {
	if err == nil {
		return nil
	}
	var marked *permanentError
	f := fault.From(err)
	return &attemptError{fault: f, final: errors.As(err, &marked) || permanent(f)}
}

// Permanent marks an error of a handler as final: another attempt would fail in the
// same way. It is needed when the reason of the fault does not show that, such as
// for an internal error.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ err error }

// Error returns the text of the marked error.
func (e *permanentError) Error() string { return e.err.Error() }

// Unwrap returns the error that was marked.
func (e *permanentError) Unwrap() error { return e.err }

// permanent reports whether the input of the job causes the fault, so that another
// attempt would fail in the same way. Faults that may disappear are not permanent: a
// conflict, a limit, credentials that an administrator can correct.
func permanent(f *fault.Fault) bool {
	if f.RetryAfter() > 0 {
		return false
	}
	switch f.Reason() {
	case faultv1.Reason_REASON_CONFLICT, faultv1.Reason_REASON_CANCELLED:
		return false
	default:
	}
	switch fault.SpecOf(f.Reason()).HTTPStatus {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// reporter logs the failures that River does not log.
type reporter struct{ log *slog.Logger }

// HandleError logs a failed attempt. It logs an error when the attempt was the last one
// and the fault is a server fault. It ends the job when another attempt would fail in the
// same way. Handlers do not cancel jobs themselves, because River does not report such
// jobs.
func (r *reporter) HandleError(ctx context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	var failed *attemptError
	ended, level := errors.As(err, &failed) && failed.final, slog.LevelWarn
	if job.Attempt >= job.MaxAttempts || ended && fault.SpecOf(fault.From(err).Reason()).HTTPStatus >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	// Log the fault and not the attempt's error, because only the fault has the cause.
	r.log.LogAttrs(ctx, level, "a job failed", append(attributes(job), slog.Bool("permanent", ended), slog.Any("error", fault.From(err)))...)
	return &river.ErrorHandlerResult{SetCancelled: ended}
}

// HandlePanic logs a panic. The job is retried like a failed one.
func (r *reporter) HandlePanic(ctx context.Context, job *rivertype.JobRow, value any, trace string) *river.ErrorHandlerResult {
	r.log.LogAttrs(ctx, slog.LevelError, "a job panicked",
		append(attributes(job), slog.String("panic", fmt.Sprint(value)), slog.String("stack", trace))...)
	return nil
}

func attributes(job *rivertype.JobRow) []slog.Attr {
	return []slog.Attr{
		slog.String("job", job.Kind), slog.Int64("job_id", job.ID), slog.String("queue", job.Queue),
		slog.Int("attempt", job.Attempt), slog.Int("max_attempts", job.MaxAttempts),
	}
}
