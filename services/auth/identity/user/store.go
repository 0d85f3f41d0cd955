package user

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const columns = `id::text, email, email_verified, display_name, locale, password_hash, operator, disabled, revision, created_at, updated_at`

// Account is what a sign-in needs to know about an address.
type Account struct {
	UserID, PasswordHash string
	Disabled             bool
	// Verified reports whether the address is confirmed.
	Verified bool
	// Locale is the user's language.
	Locale string
	// OrganizationID is the organization in which the user's sessions start.
	OrganizationID string
}

// Store stores users in Postgres.
type Store struct{ db *postgres.DB }

// NewStore returns a store.
func NewStore(db *postgres.DB) *Store { return &Store{db: db} }

func scan(row pgx.CollectableRow) (User, error) {
	var u User
	err := row.Scan(&u.ID, &u.Email, &u.EmailVerified, &u.DisplayName, &u.Locale, &u.PasswordHash, &u.Operator,
		&u.Disabled, &u.Revision, &u.CreateTime, &u.UpdateTime)
	return u, err
}

// Insert adds a user, in a transaction in the user's scope. An address that has an
// account is EMAIL_TAKEN.
func (s *Store) Insert(ctx context.Context, tx pgx.Tx, u User) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO users
		(id, email, email_normalized, email_verified, display_name, locale, password_hash, operator, revision, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		u.ID, u.Email, NormalizeEmail(u.Email), u.EmailVerified, u.DisplayName, u.Locale, u.PasswordHash, u.Operator,
		u.Revision, u.CreateTime, u.UpdateTime)
	return taken(err)
}

// taken returns EMAIL_TAKEN for a violated uniqueness of addresses, and any other error
// as it is.
func taken(err error) error {
	if name, ok := postgres.ViolatedConstraint(err); ok && name == "users_email_unique" {
		return fault.New(faultv1.Reason_REASON_EMAIL_TAKEN, "an account with this address exists")
	}
	return err
}

// Get returns a user, in a transaction whose scope may read it.
func (s *Store) Get(ctx context.Context, tx pgx.Tx, id string) (User, error) {
	u, err := postgres.TxOne(ctx, tx, scan, "SELECT "+columns+" FROM users WHERE id = $1", id)
	return u, postgres.NotFound(err, "user")
}

const selectForSignIn = `SELECT user_id::text, password_hash, disabled, verified, locale, organization_id::text FROM sign_in_account($1)`

func scanAccount(row pgx.CollectableRow) (Account, error) {
	var a Account
	err := row.Scan(&a.UserID, &a.PasswordHash, &a.Disabled, &a.Verified, &a.Locale, &a.OrganizationID)
	return a, err
}

// ForSignIn returns the account of an address, or the zero Account when there is none.
func (s *Store) ForSignIn(ctx context.Context, address string) (Account, error) {
	account, err := postgres.QueryOne(ctx, s.db, postgres.Scope{}, scanAccount, selectForSignIn, NormalizeEmail(address))
	if errors.Is(err, postgres.ErrNoRows) {
		return Account{}, nil
	}
	return account, err
}

// TxForSignIn is [Store.ForSignIn] inside a transaction.
func (s *Store) TxForSignIn(ctx context.Context, tx pgx.Tx, address string) (Account, error) {
	account, err := postgres.TxOne(ctx, tx, scanAccount, selectForSignIn, NormalizeEmail(address))
	if errors.Is(err, postgres.ErrNoRows) {
		return Account{}, nil
	}
	return account, err
}

// InTx runs fn in a transaction in a user's scope.
func (s *Store) InTx(ctx context.Context, userID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{UserID: userID}, fn)
}

// Find returns a user, or NOT_FOUND.
func (s *Store) Find(ctx context.Context, userID string) (User, error) {
	u, err := postgres.QueryOne(ctx, s.db, postgres.Scope{UserID: userID}, scan, "SELECT "+columns+" FROM users WHERE id = $1", userID)
	return u, postgres.NotFound(err, "user")
}

// Lock returns a user and locks its row until the transaction ends. The transaction is
// in the user's scope.
func (s *Store) Lock(ctx context.Context, tx pgx.Tx, userID string) (User, error) {
	u, err := postgres.TxOne(ctx, tx, scan, "SELECT "+columns+" FROM users WHERE id = $1 FOR UPDATE", userID)
	return u, postgres.NotFound(err, "user")
}

// Save writes the fields of a user that can change, except the address.
func (s *Store) Save(ctx context.Context, tx pgx.Tx, u User) error {
	_, err := postgres.TxExec(ctx, tx, `UPDATE users SET display_name = $2, locale = $3, password_hash = $4, disabled = $5, operator = $6,
		revision = $7, updated_at = $8 WHERE id = $1`, u.ID, u.DisplayName, u.Locale, u.PasswordHash, u.Disabled, u.Operator,
		u.Revision, u.UpdateTime)
	return err
}

// SaveAddress writes what the owner of an address may change: the address, whether it
// is confirmed, and the password. An address of another account is EMAIL_TAKEN.
func (s *Store) SaveAddress(ctx context.Context, tx pgx.Tx, u User) error {
	_, err := postgres.TxExec(ctx, tx, `UPDATE users SET email = $2, email_normalized = $3, email_verified = $4, password_hash = $5,
		revision = $6, updated_at = $7 WHERE id = $1`,
		u.ID, u.Email, NormalizeEmail(u.Email), u.EmailVerified, u.PasswordHash, u.Revision, u.UpdateTime)
	return taken(err)
}

// Anonymize deletes everything of a user except the id, in a transaction in the user's
// scope. Nobody can sign in to the account, and its address can be used again.
func (s *Store) Anonymize(ctx context.Context, tx pgx.Tx, u User) error {
	// The functions look for the address, so it is removed last.
	for _, sql := range []string{
		"SELECT anonymize_own_invitations() WHERE $1::uuid IS NOT NULL",
		"DELETE FROM sessions WHERE user_id = $1",
		"DELETE FROM mail_tokens WHERE user_id = $1",
		"DELETE FROM mail_sign_ins WHERE user_id = $1",
		"DELETE FROM oauth_grants WHERE user_id = $1",
		"DELETE FROM oauth_codes WHERE user_id = $1",
		"DELETE FROM identities WHERE user_id = $1",
		"DELETE FROM provider_attempts WHERE user_id = $1",
	} {
		if _, err := postgres.TxExec(ctx, tx, sql, u.ID); err != nil {
			return err
		}
	}
	_, err := postgres.TxExec(ctx, tx, `UPDATE users SET email = '', email_normalized = 'deleted ' || id, email_verified = false,
		display_name = '', locale = 'en', password_hash = '', operator = false, disabled = true, deleted_at = $3, revision = $2, updated_at = $3
		WHERE id = $1`, u.ID, u.Revision+1, u.UpdateTime)
	return err
}

// HomeOrganization returns the organization in which a user's sessions start: the
// personal one, or else the one joined first. The transaction is in the user's scope.
func (s *Store) HomeOrganization(ctx context.Context, tx pgx.Tx, id string) (organizationID string, err error) {
	organizationID, err = postgres.TxOne(ctx, tx, pgx.RowTo[string], `SELECT m.organization_id::text
		FROM memberships m JOIN organizations o ON o.id = m.organization_id
		WHERE m.user_id = $1 ORDER BY o.personal DESC, m.created_at, m.organization_id LIMIT 1`, id)
	return organizationID, postgres.NotFound(err, "organization")
}

// LockShared keeps a user unchanged until the transaction ends. Other transactions may
// do the same. Opening a session takes this lock: a change of the user's credentials
// then either finds the session and ends it, or is found by the session.
func (s *Store) LockShared(ctx context.Context, tx pgx.Tx, id string) error {
	_, err := postgres.TxExec(ctx, tx, "SELECT FROM users WHERE id = $1 FOR SHARE", id)
	return err
}

// LockExclusive is [Store.LockShared] for changes of a user's credentials: until the
// transaction ends, no session is opened.
func (s *Store) LockExclusive(ctx context.Context, tx pgx.Tx, id string) error {
	_, err := postgres.TxExec(ctx, tx, "SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", id)
	return err
}

// OperatorExists reports whether the installation has an operator.
func (s *Store) OperatorExists(ctx context.Context, tx pgx.Tx) (bool, error) {
	// Two processes that start at the same time must not both find none.
	if _, err := postgres.TxExec(ctx, tx, "SELECT pg_advisory_xact_lock(hashtext('gatehouse auth operator'))"); err != nil {
		return false, err
	}
	return postgres.TxOne(ctx, tx, pgx.RowTo[bool], "SELECT operator_exists()")
}
