package email

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

// sentSignIn is what an address was sent to sign in, as hashes. userID is empty for an
// address without an account.
type sentSignIn struct {
	address, userID        string
	challenge, token, code []byte
}

// insertSignIn stores what was sent, and replaces what the address was sent before.
func (s *store) insertSignIn(ctx context.Context, m sentSignIn, now, until time.Time) error {
	_, err := postgres.Exec(ctx, s.db, postgres.Scope{}, "SELECT keep_mail_sign_in($1, $2, $3, $4, nullif($5, '')::uuid, $6, $7)",
		user.NormalizeEmail(m.address), m.challenge, m.token, m.code, m.userID, now, until)
	return err
}

// tryCode checks a code and counts the attempt. It returns the user and the normalized
// address to which the code was sent. The user is empty when the code is wrong, or no
// more attempts are allowed.
func (s *store) tryCode(ctx context.Context, tx pgx.Tx, challenge, code []byte, now time.Time) (userID, address string, err error) {
	return userOf(postgres.TxOne(ctx, tx, scanSignIn,
		"SELECT coalesce(user_id::text, ''), address FROM try_mail_code($1, $2, $3)", challenge, code, now))
}

// useLink uses up a link, and returns what tryCode does.
func (s *store) useLink(ctx context.Context, tx pgx.Tx, token []byte, now time.Time) (userID, address string, err error) {
	return userOf(postgres.TxOne(ctx, tx, scanSignIn, "SELECT user_id::text, address FROM take_mail_link($1, $2)", token, now))
}

func scanSignIn(row pgx.CollectableRow) (sentSignIn, error) {
	var m sentSignIn
	err := row.Scan(&m.userID, &m.address)
	return m, err
}

// userOf returns the user and the address of a sign-in, and an empty user for no row.
func userOf(m sentSignIn, err error) (userID, address string, _ error) {
	if errors.Is(err, postgres.ErrNoRows) {
		return "", "", nil
	}
	return m.userID, m.address, err
}
