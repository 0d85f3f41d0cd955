package federation

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// list declares how identities are ordered.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name:         "identities",
	ID:           "id",
	Fields:       map[string]paging.Field{"createTime": {Column: "created_at", Type: paging.Time, Order: true}},
	DefaultOrder: "createTime",
}

// Identity links a user to an account at a provider.
type Identity struct {
	ID                               string `db:"id"`
	UserID                           string
	Provider, Issuer, Subject, Email string
	CreateTime                       time.Time `db:"created_at"`
	LastUsedTime                     *time.Time
}

// Store stores identities and attempts in Postgres.
type Store struct {
	db     *postgres.DB
	tokens *paging.Tokens
}

// NewStore returns a store.
func NewStore(db *postgres.DB, tokens *paging.Tokens) *Store { return &Store{db: db, tokens: tokens} }

func (s *Store) inTx(ctx context.Context, scope postgres.Scope, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, scope, fn)
}

// insertAttempt stores an attempt until it expires.
func (s *Store) insertAttempt(ctx context.Context, state, secret []byte, provider string, a attempt, until time.Time) error {
	_, err := postgres.Exec(ctx, s.db, postgres.Scope{},
		"SELECT keep_provider_attempt($1, $2, $3, $4, nullif($5, '')::uuid, nullif($6, '')::uuid, $7)",
		state, secret, provider, a.redirectURI, a.userID, a.sessionID, until)
	return err
}

// useAttempt uses up an attempt.
func (s *Store) useAttempt(ctx context.Context, state, secret []byte, provider string, links bool, now time.Time) (attempt, error) {
	a, err := postgres.QueryOne(ctx, s.db, postgres.Scope{}, func(row pgx.CollectableRow) (attempt, error) {
		var a attempt
		err := row.Scan(&a.redirectURI, &a.userID, &a.sessionID)
		return a, err
	}, `SELECT redirect_uri, coalesce(user_id::text, ''), coalesce(session_id::text, '')
		FROM take_provider_attempt($1, $2, $3, $4, $5)`, state, secret, provider, links, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return a, refused(errors.New("federation: no such attempt"))
	}
	return a, err
}

// identityUser returns the identity of a profile with its user. It returns false when
// no user has linked it. Concurrent logins with one identity wait for each other, so
// that the second one finds the account that the first one created.
func (s *Store) identityUser(ctx context.Context, tx pgx.Tx, provider string, profile identityProfile) (Identity, bool, error) {
	if _, err := postgres.TxExec(ctx, tx, "SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'identity', $1::text, $2::text, $3::text), 0))",
		provider, profile.issuer, profile.subject); err != nil {
		return Identity{}, false, err
	}
	i, err := postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (Identity, error) {
		var i Identity
		err := row.Scan(&i.ID, &i.UserID)
		return i, err
	}, "SELECT id::text, user_id::text FROM identity_user($1, $2, $3)", provider, profile.issuer, profile.subject)
	if errors.Is(err, postgres.ErrNoRows) {
		return i, false, nil
	}
	return i, err == nil, err
}

// insert adds an identity, in a transaction in its user's scope. An identity that is
// already linked is ALREADY_EXISTS.
func (s *Store) insert(ctx context.Context, tx pgx.Tx, i Identity) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO identities (id, user_id, provider, issuer, subject, email, created_at, last_used_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, i.ID, i.UserID, i.Provider, i.Issuer, i.Subject, i.Email, i.CreateTime, i.LastUsedTime)
	if name, ok := postgres.ViolatedConstraint(err); ok && name == "identities_subject" {
		return fault.New(faultv1.Reason_REASON_ALREADY_EXISTS, "this identity is linked to an account")
	}
	return err
}

// recordLogin stores that an identity signed its user in, in a transaction in the
// user's scope.
func (s *Store) recordLogin(ctx context.Context, tx pgx.Tx, id, email string, now time.Time) error {
	_, err := postgres.TxExec(ctx, tx, "UPDATE identities SET last_used_at = $2, email = $3 WHERE id = $1", id, now, email)
	return err
}

// activeSession returns the organization of a user's session, in a transaction in the
// user's scope. It returns false when the session has ended.
func (s *Store) activeSession(ctx context.Context, tx pgx.Tx, userID, sessionID string, now time.Time) (organizationID string, alive bool, err error) {
	organizationID, err = postgres.TxOne(ctx, tx, pgx.RowTo[string], `SELECT organization_id::text FROM sessions
		WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3`, sessionID, userID, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return "", false, nil
	}
	return organizationID, err == nil, err
}

// count returns the number of a user's identities, in a transaction that has locked the
// user.
func (s *Store) count(ctx context.Context, tx pgx.Tx, userID string) (int, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[int], "SELECT count(*) FROM identities WHERE user_id = $1", userID)
}

// hasOtherCredential reports whether a user can sign in without identities, with a
// password or a passkey. The transaction has locked the user.
func (s *Store) hasOtherCredential(ctx context.Context, tx pgx.Tx, userID string) (bool, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM users WHERE id = $1 AND password_hash <> '')
		OR EXISTS (SELECT FROM passkeys WHERE user_id = $1)`, userID)
}

// signsInWithoutProvider reports whether a user can sign in without a provider, in a
// transaction in the user's scope.
func (s *Store) signsInWithoutProvider(ctx context.Context, tx pgx.Tx, userID, provider string) (bool, error) {
	elsewhere, err := postgres.TxOne(ctx, tx, pgx.RowTo[bool],
		"SELECT EXISTS (SELECT FROM identities WHERE user_id = $1 AND provider <> $2)", userID, provider)
	if err != nil || elsewhere {
		return elsewhere, err
	}
	return s.hasOtherCredential(ctx, tx, userID)
}

const columns = "id::text, user_id::text, provider, issuer, subject, email, created_at, last_used_at"

func scan(row pgx.CollectableRow) (Identity, error) {
	var i Identity
	err := row.Scan(&i.ID, &i.UserID, &i.Provider, &i.Issuer, &i.Subject, &i.Email, &i.CreateTime, &i.LastUsedTime)
	return i, err
}

// remove deletes an identity of a user.
func (s *Store) remove(ctx context.Context, tx pgx.Tx, userID, id string) (Identity, error) {
	i, err := postgres.TxOne(ctx, tx, scan, "DELETE FROM identities WHERE user_id = $1 AND id = $2 RETURNING "+columns, userID, id)
	return i, postgres.NotFound(err, "identity")
}

// DeleteAll deletes every identity of a user, in a transaction in the user's scope.
func (s *Store) DeleteAll(ctx context.Context, tx pgx.Tx, userID string) error {
	if _, err := postgres.TxExec(ctx, tx, "DELETE FROM provider_attempts WHERE user_id = $1", userID); err != nil {
		return err
	}
	_, err := postgres.TxExec(ctx, tx, "DELETE FROM identities WHERE user_id = $1", userID)
	return err
}

// list returns a page of a user's identities.
func (s *Store) list(ctx context.Context, userID string, req paging.Request) ([]Identity, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{UserID: userID}, paging.Query[Identity]{
		List: list, Tokens: s.tokens, Request: req,
		SQL: "SELECT " + columns + " FROM identities WHERE user_id = $1", Args: []any{userID}, Scan: scan,
	})
}

func (s *Store) deleteExpired(ctx context.Context, now time.Time) error {
	_, err := postgres.Sweep(ctx, s.db, "delete_expired_provider_attempts", now)
	return err
}
