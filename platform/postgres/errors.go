package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// retryAfter is the time that a client should wait when the database is unavailable.
const retryAfter = 2 * time.Second

// ErrNoRows is the error of a statement that must return a row and returned none. The
// store decides what it means.
var ErrNoRows = pgx.ErrNoRows

// NotFound returns NOT_FOUND for a kind of resource when err is [ErrNoRows], and other
// errors unchanged.
func NotFound(err error, kind string) error {
	if errors.Is(err, ErrNoRows) {
		return fault.NotFound(kind)
	}
	return err
}

// ViolatedConstraint returns the name of the constraint that a statement violated:
// unique, foreign key, check, exclusion or not null. For not null it returns the name of
// the column. A store uses the name to explain the error to the caller.
func ViolatedConstraint(err error) (name string, ok bool) {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || !strings.HasPrefix(pg.Code, "23") {
		return "", false
	}
	if pg.ConstraintName == "" {
		return pg.ColumnName, true
	}
	return pg.ConstraintName, true
}

// MapError converts an error of the driver to a fault. It returns faults, [ErrNoRows]
// and errors of other code unchanged.
func MapError(err error) error {
	if err == nil || errors.Is(err, ErrNoRows) {
		return err
	}
	if _, ok := errors.AsType[*fault.Fault](err); ok {
		return err
	}
	if f := driverFault(err); f != nil {
		return f
	}
	return err
}

// toFault is MapError for the errors of statements. Every error that MapError does not
// convert is INTERNAL.
func toFault(err error) error {
	mapped := MapError(err)
	if mapped == nil || errors.Is(mapped, ErrNoRows) {
		return mapped
	}
	return fault.From(mapped)
}

// driverFault returns the fault for an error of the driver, and nil for other errors.
func driverFault(err error) *fault.Fault {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return serverFault(err, pg.Code)
	}
	// A failed connection is also a "deadline exceeded" when its own short deadline has
	// passed, and not the caller's.
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return unavailable(err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault.From(err)
	}
	if connectionLost(err) {
		return unavailable(err)
	}
	if errors.Is(err, pgx.ErrTxCommitRollback) || errors.Is(err, pgx.ErrTxClosed) || errors.Is(err, pgx.ErrTooManyRows) {
		return internal(err)
	}
	return nil
}

func connectionLost(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, puddle.ErrClosedPool) ||
		// pgx exports no error for these two.
		strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "closed pool")
}

// serverFault maps an SQLSTATE.
func serverFault(err error, code string) *fault.Fault {
	switch {
	case strings.HasPrefix(code, "08"), // connection exception
		strings.HasPrefix(code, "53"),  // too many connections, disk full, out of memory
		strings.HasPrefix(code, "57P"), // stopping, starting up
		code == "25006",                // read-only: a failover is under way
		code == "28P01", code == "28000":
		return unavailable(err)
	case code == "57014", code == "55P03", code == "25P03", code == "25P04":
		return fault.Wrap(err, faultv1.Reason_REASON_DEADLINE_EXCEEDED, "the database did not respond in time")
	case code == "40001", code == "40P01":
		return fault.Wrap(err, faultv1.Reason_REASON_CONFLICT,
			"another change to the same data was made at the same time").WithRetryAfter(time.Second)
	case code == "22P05", code == "22021":
		return fault.Wrap(err, faultv1.Reason_REASON_INVALID_ARGUMENT, "a text contains characters that cannot be stored")
	default:
		return internal(err)
	}
}

func internal(err error) *fault.Fault {
	return fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "an internal error occurred")
}

// retryable reports whether the whole transaction may run again, because the server
// rolled it back in favor of another one.
func retryable(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40001" || pg.Code == "40P01")
}
