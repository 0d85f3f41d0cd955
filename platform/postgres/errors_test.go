package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func TestMapError_OnlyDriverErrorsBecomeFaults(t *testing.T) {
	t.Parallel()
	own := errors.New("not an error of the driver")
	if got := postgres.MapError(own); got != own { //nolint:errorlint // the same error, not one that wraps it
		t.Errorf("MapError changed a foreign error to %v", got)
	}
	if got := postgres.MapError(fmt.Errorf("reading: %w", postgres.ErrNoRows)); !errors.Is(got, postgres.ErrNoRows) {
		t.Errorf("MapError changed ErrNoRows to %v", got)
	}
	if postgres.MapError(nil) != nil {
		t.Error("MapError(nil) is not nil")
	}
	for code, want := range map[string]fault.Reason{
		"08006": faultv1.Reason_REASON_DATABASE_UNAVAILABLE,
		"53300": faultv1.Reason_REASON_DATABASE_UNAVAILABLE,
		"57P01": faultv1.Reason_REASON_DATABASE_UNAVAILABLE,
		"57P03": faultv1.Reason_REASON_DATABASE_UNAVAILABLE,
		"25006": faultv1.Reason_REASON_DATABASE_UNAVAILABLE,
		"57014": faultv1.Reason_REASON_DEADLINE_EXCEEDED,
		"55P03": faultv1.Reason_REASON_DEADLINE_EXCEEDED,
		"40001": faultv1.Reason_REASON_CONFLICT,
		"22021": faultv1.Reason_REASON_INVALID_ARGUMENT,
		"23505": faultv1.Reason_REASON_INTERNAL,
		"42P01": faultv1.Reason_REASON_INTERNAL,
	} {
		err := postgres.MapError(&pgconn.PgError{Code: code, Message: "the relation secret", Detail: "Key (email)=(a@b.c)"})
		got := fault.From(err)
		if got.Reason() != want {
			t.Errorf("%s is %v, want %v", code, got.Reason(), want)
		}
		if text := got.Detail(); strings.Contains(text, "secret") || strings.Contains(text, "a@b.c") || strings.Contains(text, code) {
			t.Errorf("%s: the detail %q contains the server's message", code, text)
		}
		if unavailable := want == faultv1.Reason_REASON_DATABASE_UNAVAILABLE; unavailable != (got.RetryAfter() > 0) && code != "40001" {
			t.Errorf("%s: the time to wait is %v", code, got.RetryAfter())
		}
	}
}

func TestNotFound_NoRows_IsNotFound(t *testing.T) {
	t.Parallel()
	if err := postgres.NotFound(fmt.Errorf("reading: %w", postgres.ErrNoRows), "role"); !fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		t.Errorf("no rows: %v", err)
	}
	own := errors.New("the disk is full")
	if err := postgres.NotFound(own, "role"); err != own { //nolint:errorlint // the same error, not one that wraps it
		t.Errorf("another error became %v", err)
	}
	if err := postgres.NotFound(nil, "role"); err != nil {
		t.Errorf("no error became %v", err)
	}
}

func TestViolatedConstraint_ReturnsConstraintOrColumn(t *testing.T) {
	t.Parallel()
	db := open(t)
	addNote(t, db, acme, "once")
	for text, want := range map[string]string{"once": "note_text_key", "": "note_text_check"} {
		_, err := postgres.Exec(t.Context(), db, inAcme, "INSERT INTO note (organization_id, text) VALUES ($1, $2)", acme, text)
		if name, ok := postgres.ViolatedConstraint(err); !ok || name != want {
			t.Errorf("%q violates %q, %v (%v), want %q", text, name, ok, err, want)
		}
	}
	_, err := postgres.Exec(t.Context(), db, inAcme, "INSERT INTO note (organization_id, text) VALUES ($1, NULL)", acme)
	if name, ok := postgres.ViolatedConstraint(err); !ok || name != "text" {
		t.Errorf("NULL violates %q, %v, want the column", name, ok)
	}
	if _, ok := postgres.ViolatedConstraint(errors.New("x")); ok {
		t.Error("a foreign error violates a constraint")
	}
}

// S58: the messages of the database do not reach clients.
func TestStatement_Fails_ReturnsAFault(t *testing.T) {
	t.Parallel()
	db := open(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancelExpired := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancelExpired()
	for name, test := range map[string]struct {
		ctx  context.Context
		sql  string
		args []any
		want fault.Reason
	}{
		"NUL in a text": {t.Context(), "SELECT $1::text", []any{"a\x00b"}, faultv1.Reason_REASON_INVALID_ARGUMENT},
		"broken UTF-8":  {t.Context(), "SELECT $1::text", []any{"a\xff"}, faultv1.Reason_REASON_INVALID_ARGUMENT},
		"cancelled":     {cancelled, "SELECT '1'", nil, faultv1.Reason_REASON_CANCELLED},
		"deadline":      {expired, "SELECT pg_sleep(60)::text", nil, faultv1.Reason_REASON_DEADLINE_EXCEEDED},
		"syntax":        {t.Context(), "SELEKT", nil, faultv1.Reason_REASON_INTERNAL},
		"scan":          {t.Context(), "SELECT NULL", nil, faultv1.Reason_REASON_INTERNAL},
	} {
		_, err := postgres.QueryOne(test.ctx, db, inAcme, pgx.RowTo[string], test.sql, test.args...)
		if !fault.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if _, err := postgres.QueryOne(t.Context(), db, inAcme, pgx.RowTo[string], "SELECT text FROM note"); !errors.Is(err, postgres.ErrNoRows) {
		t.Errorf("no row: %v, want ErrNoRows", err)
	}
}

func TestQuery_StatementTimeout_IsDeadlineExceeded(t *testing.T) {
	t.Parallel()
	err := open(t).InTx(t.Context(), inAcme, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := postgres.TxExec(ctx, tx, "SET LOCAL statement_timeout = '1ms'"); err != nil {
			return err
		}
		_, err := postgres.TxExec(ctx, tx, "SELECT pg_sleep(60)")
		return err
	})
	if !fault.Is(err, faultv1.Reason_REASON_DEADLINE_EXCEEDED) {
		t.Errorf("a statement past its timeout: %v", err)
	}
}

func TestQuery_PoolExhausted_IsUnavailable(t *testing.T) {
	t.Parallel()
	cfg := pgtest.New(t, set()).Config()
	cfg.MaxConns = 1
	db := pgtest.OpenConfig(t, cfg, role)
	err := db.InTx(t.Context(), inAcme, func(ctx context.Context, _ pgx.Tx) error {
		_, err := postgres.Exec(ctx, db, inAcme, "SELECT 1") // needs a second connection
		return err
	})
	if !fault.Is(err, faultv1.Reason_REASON_DATABASE_UNAVAILABLE) || fault.From(err).RetryAfter() <= 0 {
		t.Errorf("a pool without connections: %v", err)
	}
}
