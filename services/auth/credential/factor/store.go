package factor

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// sweepMost bounds one statement of a sweep, so that it locks few rows.
const sweepMost = 1000

// Store stores factors and challenges in Postgres.
type Store struct {
	db     *postgres.DB
	tokens *paging.Tokens
}

// NewStore returns a store.
func NewStore(db *postgres.DB, tokens *paging.Tokens) *Store { return &Store{db: db, tokens: tokens} }

func (s *Store) inTx(ctx context.Context, organizationID, userID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{OrganizationID: organizationID, UserID: userID}, fn)
}

const enrollment = `SELECT EXISTS (SELECT FROM totp_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL),
	(SELECT count(*) FROM passkeys WHERE user_id = $1), (SELECT count(*) FROM recovery_codes WHERE user_id = $1)`

func scanEnrolled(row pgx.CollectableRow) (enrolled, error) {
	var e enrolled
	err := row.Scan(&e.totp, &e.passkeys, &e.recoveryCodes)
	return e, err
}

func (s *Store) enrolled(ctx context.Context, userID string) (enrolled, error) {
	return postgres.QueryOne(ctx, s.db, postgres.Scope{UserID: userID}, scanEnrolled, enrollment, userID)
}

func (s *Store) enrolledIn(ctx context.Context, tx pgx.Tx, userID string) (enrolled, error) {
	return postgres.TxOne(ctx, tx, scanEnrolled, enrollment, userID)
}

// authenticator is a row of totp_factors.
type authenticator struct {
	id        string
	sealed    []byte
	confirmed bool
	created   time.Time
}

// totp returns a user's authenticator. It returns false when there is none.
func (s *Store) totp(ctx context.Context, tx pgx.Tx, userID string) (authenticator, bool, error) {
	t, err := postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (authenticator, error) {
		var a authenticator
		err := row.Scan(&a.id, &a.sealed, &a.confirmed, &a.created)
		return a, err
	}, "SELECT id::text, sealed, confirmed_at IS NOT NULL, created_at FROM totp_factors WHERE user_id = $1", userID)
	if errors.Is(err, postgres.ErrNoRows) {
		return t, false, nil
	}
	return t, err == nil, err
}

// putTOTP stores a new authenticator, and replaces an unconfirmed one. It returns false
// when the user has a confirmed one.
func (s *Store) putTOTP(ctx context.Context, tx pgx.Tx, userID string, t authenticator) (bool, error) {
	n, err := postgres.TxExec(ctx, tx, `INSERT INTO totp_factors (id, user_id, sealed, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id) DO UPDATE SET id = excluded.id, sealed = excluded.sealed, created_at = excluded.created_at, last_step = 0
		WHERE totp_factors.confirmed_at IS NULL`, t.id, userID, t.sealed, t.created)
	return n == 1, err
}

// useStep uses up the step of a code. It returns false when this step or a later one
// was used before.
func (s *Store) useStep(ctx context.Context, tx pgx.Tx, id string, step int64) (bool, error) {
	n, err := postgres.TxExec(ctx, tx, "UPDATE totp_factors SET last_step = $2 WHERE id = $1 AND last_step < $2", id, step)
	return n == 1, err
}

// confirm confirms an authenticator. It returns false when it was confirmed already.
func (s *Store) confirm(ctx context.Context, tx pgx.Tx, id string, now time.Time) (bool, error) {
	n, err := postgres.TxExec(ctx, tx, "UPDATE totp_factors SET confirmed_at = $2 WHERE id = $1 AND confirmed_at IS NULL", id, now)
	return n == 1, err
}

// deleteTOTP deletes a user's authenticator. It returns false when there was none.
func (s *Store) deleteTOTP(ctx context.Context, tx pgx.Tx, userID string) (bool, error) {
	n, err := postgres.TxExec(ctx, tx, "DELETE FROM totp_factors WHERE user_id = $1", userID)
	return n == 1, err
}

// putRecoveryCodes replaces a user's recovery codes.
func (s *Store) putRecoveryCodes(ctx context.Context, tx pgx.Tx, userID string, hashes [][]byte) error {
	if _, err := postgres.TxExec(ctx, tx, "DELETE FROM recovery_codes WHERE user_id = $1", userID); err != nil {
		return err
	}
	for _, hash := range hashes {
		if _, err := postgres.TxExec(ctx, tx, "INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, $2)", userID, hash); err != nil {
			return err
		}
	}
	return nil
}

// dropUselessCodes deletes the recovery codes of a user without any other factor.
func (s *Store) dropUselessCodes(ctx context.Context, tx pgx.Tx, userID string) error {
	_, err := postgres.TxExec(ctx, tx, `DELETE FROM recovery_codes WHERE user_id = $1
		AND NOT EXISTS (SELECT FROM totp_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL)
		AND NOT EXISTS (SELECT FROM passkeys WHERE user_id = $1)`, userID)
	return err
}

// useRecoveryCode uses up a recovery code. It returns false when the user has no such
// code.
func (s *Store) useRecoveryCode(ctx context.Context, tx pgx.Tx, userID string, hash []byte) (bool, error) {
	n, err := postgres.TxExec(ctx, tx, "DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2", userID, hash)
	return n == 1, err
}

// DeleteAll deletes every factor of a user, in a transaction in the user's scope.
func (s *Store) DeleteAll(ctx context.Context, tx pgx.Tx, userID string) error {
	for _, table := range []string{"totp_factors", "passkeys", "recovery_codes", "factor_challenges", "factor_tries"} {
		if _, err := postgres.TxExec(ctx, tx, "DELETE FROM "+table+" WHERE user_id = $1", userID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) insertChallenge(ctx context.Context, userID string, hash []byte, used []string, expires time.Time) error {
	_, err := postgres.Exec(ctx, s.db, postgres.Scope{UserID: userID},
		"INSERT INTO factor_challenges (token_hash, user_id, methods, expires_at) VALUES ($1, $2, $3, $4)", hash, userID, used, expires)
	return err
}

// countTry counts an attempt at a challenge. It returns false when the challenge has
// expired or was attempted too often.
func (s *Store) countTry(ctx context.Context, tx pgx.Tx, hash []byte, now time.Time) (userID string, used []string, alive bool, err error) {
	_, err = postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (bool, error) {
		return true, row.Scan(&userID, &used)
	}, "SELECT user_id::text, methods FROM try_factor_challenge($1, $2)", hash, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return "", nil, false, nil
	}
	return userID, used, err == nil, err
}

func (s *Store) deleteChallenge(ctx context.Context, tx pgx.Tx, hash []byte) error {
	_, err := postgres.TxExec(ctx, tx, "DELETE FROM factor_challenges WHERE token_hash = $1", hash)
	return err
}

// count counts a code as wrong before it is verified, so that concurrent attempts are
// limited too. It returns how many there are in the window, including this one, or the
// time until which no more are accepted.
func (s *Store) count(ctx context.Context, tx pgx.Tx, userID string, now time.Time) (wrong int, until time.Time, err error) {
	wrong, err = postgres.TxOne(ctx, tx, pgx.RowTo[int], `INSERT INTO factor_tries AS t (user_id, begins_at, wrong) VALUES ($1, $2, 1)
		ON CONFLICT (user_id) DO UPDATE SET
			wrong = CASE WHEN t.begins_at <= $3 THEN 1 ELSE t.wrong + 1 END,
			begins_at = CASE WHEN t.begins_at <= $3 THEN $2 ELSE t.begins_at END
		WHERE t.begins_at <= $3 OR t.wrong < $4 RETURNING wrong`, userID, now, now.Add(-wrongWindow), maxWrong)
	if !errors.Is(err, postgres.ErrNoRows) {
		return wrong, time.Time{}, err
	}
	begins, err := postgres.TxOne(ctx, tx, pgx.RowTo[time.Time], "SELECT begins_at FROM factor_tries WHERE user_id = $1", userID)
	return 0, begins.Add(wrongWindow), err
}

// uncount uncounts a code that turned out to be right.
func (s *Store) uncount(ctx context.Context, tx pgx.Tx, userID string) error {
	_, err := postgres.TxExec(ctx, tx, "UPDATE factor_tries SET wrong = wrong - 1 WHERE user_id = $1", userID)
	return err
}

// addMethods adds to the methods of a session.
func (s *Store) addMethods(ctx context.Context, tx pgx.Tx, sessionID, userID string, methods []string) error {
	used, err := postgres.TxOne(ctx, tx, pgx.RowTo[[]string], "SELECT methods FROM sessions WHERE id = $1 AND user_id = $2 FOR UPDATE", sessionID, userID)
	if errors.Is(err, postgres.ErrNoRows) {
		return nil // the session has just ended
	}
	if err != nil {
		return err
	}
	_, err = postgres.TxExec(ctx, tx, "UPDATE sessions SET methods = $3 WHERE id = $1 AND user_id = $2", sessionID, userID, Combine(used, methods...))
	return err
}

func (s *Store) deleteExpired(ctx context.Context, now time.Time) error {
	for n := int64(sweepMost); n == sweepMost; {
		var err error
		if n, err = postgres.Exec(ctx, s.db, postgres.Scope{}, `DELETE FROM passkey_ceremonies WHERE token_hash IN (
			SELECT token_hash FROM passkey_ceremonies WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`, now, sweepMost); err != nil {
			return err
		}
	}
	if _, err := postgres.Sweep(ctx, s.db, "delete_expired_factor_challenges", now); err != nil {
		return err
	}
	_, err := postgres.Sweep(ctx, s.db, "delete_expired_factor_tries", now.Add(-wrongWindow))
	return err
}
