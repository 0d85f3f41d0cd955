package email

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

// sentSignIn is what an address was sent to sign in: hashes. No user is that of an
// address without an account.
type sentSignIn struct {
	address, userID        string
	challenge, token, code []byte
}

// insertSignIn keeps what was sent, in place of what the address was sent before.
func (s *Store) insertSignIn(ctx context.Context, m sentSignIn, now, until time.Time) error {
	_, err := postgres.Exec(ctx, s.db, postgres.Scope{}, "SELECT keep_mail_sign_in($1, $2, $3, $4, nullif($5, '')::uuid, $6, $7)",
		user.NormalizeEmail(m.address), m.challenge, m.token, m.code, m.userID, now, until)
	return err
}

// tryCode judges a code and counts it. It answers whose account it is, and the
// address that it was sent to, normalized; nobody's when the code is wrong, or may
// not be tried.
func (s *Store) tryCode(ctx context.Context, tx pgx.Tx, challenge, code []byte, now time.Time) (userID, address string, err error) {
	return userOf(postgres.TxOne(ctx, tx, scanSignIn,
		"SELECT coalesce(user_id::text, ''), address FROM try_mail_code($1, $2, $3)", challenge, code, now))
}

// useLink uses a link up, and answers as tryCode does.
func (s *Store) useLink(ctx context.Context, tx pgx.Tx, token []byte, now time.Time) (userID, address string, err error) {
	return userOf(postgres.TxOne(ctx, tx, scanSignIn, "SELECT user_id::text, address FROM take_mail_link($1, $2)", token, now))
}

func scanSignIn(row pgx.CollectableRow) (sentSignIn, error) {
	var m sentSignIn
	err := row.Scan(&m.userID, &m.address)
	return m, err
}

func userOf(m sentSignIn, err error) (userID, address string, _ error) {
	if errors.Is(err, postgres.ErrNoRows) {
		return "", "", nil
	}
	return m.userID, m.address, err
}
