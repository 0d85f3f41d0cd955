package email

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

// store stores the tokens of emails in Postgres.
type store struct{ db *postgres.DB }

// newStore returns a store.
func newStore(db *postgres.DB) *store { return &store{db: db} }

func (s *store) inTx(ctx context.Context, userID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{UserID: userID}, fn)
}

// insertToken stores the hash of a token under the id of its message. A message that is
// composed again replaces its token.
func (s *store) insertToken(ctx context.Context, messageID string, c claim, hash []byte, now, until time.Time) error {
	_, err := postgres.Exec(ctx, s.db, postgres.Scope{}, "SELECT keep_mail_token($1, $2, $3, $4, $5, nullif($6, '')::uuid, $7, $8, $9, $10)",
		messageID, string(c.purpose), hash, c.address, user.NormalizeEmail(c.address), c.userID, c.passwordHash, c.displayName, now, until)
	return err
}

// tokenAddress returns the address of a valid token, without using it up.
func (s *store) tokenAddress(ctx context.Context, hash []byte, p purpose, now time.Time) (string, error) {
	address, err := postgres.QueryOne(ctx, s.db, postgres.Scope{}, pgx.RowTo[string],
		"SELECT address FROM mail_token_address($1, $2, $3)", hash, []string{string(p)}, now)
	return address, tokenNotFound(err)
}

// useToken uses up a token.
func (s *store) useToken(ctx context.Context, tx pgx.Tx, hash []byte, now time.Time, purposes ...string) (claim, error) {
	c, err := postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (claim, error) {
		var c claim
		var userID *string
		err := row.Scan(&c.purpose, &c.address, &userID, &c.passwordHash, &c.displayName)
		if userID != nil {
			c.userID = *userID
		}
		return c, err
	}, "SELECT purpose, address, user_id::text, password_hash, display_name FROM take_mail_token($1, $2, $3)", hash, purposes, now)
	return c, tokenNotFound(err)
}

// tokenNotFound returns the refusal of an unknown token, and any other error as it is.
func tokenNotFound(err error) error {
	if errors.Is(err, postgres.ErrNoRows) {
		return invalidToken()
	}
	return err
}

// deleteTokens invalidates everything else that was sent to an address or for an
// account.
func (s *store) deleteTokens(ctx context.Context, tx pgx.Tx, address, userID string) error {
	_, err := postgres.TxExec(ctx, tx, "SELECT forget_mail_tokens($1, nullif($2, '')::uuid)", user.NormalizeEmail(address), userID)
	return err
}

// pendingSignUp returns the name in the newest pending sign-up of an address, and
// whether there is one.
func (s *store) pendingSignUp(ctx context.Context, address string, now time.Time) (displayName string, found bool, err error) {
	displayName, err = postgres.QueryOne(ctx, s.db, postgres.Scope{}, pgx.RowTo[string],
		"SELECT display_name FROM waiting_sign_up($1, $2)", user.NormalizeEmail(address), now)
	if errors.Is(err, postgres.ErrNoRows) {
		return "", false, nil
	}
	return displayName, err == nil, err
}

func (s *store) deleteExpired(ctx context.Context, now time.Time) error {
	for _, function := range []string{"delete_expired_mail_tokens", "delete_expired_mail_sign_ins"} {
		if _, err := postgres.Sweep(ctx, s.db, function, now); err != nil {
			return err
		}
	}
	return nil
}
