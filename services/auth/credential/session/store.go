package session

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Store stores sessions in Postgres.
type Store struct{ db *postgres.DB }

// NewStore returns a store.
func NewStore(db *postgres.DB) *Store { return &Store{db: db} }

// inTx runs fn in a transaction in the scope of a user in an organization. Both are
// empty where a token identifies them later.
func (s *Store) inTx(ctx context.Context, organizationID, userID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{OrganizationID: organizationID, UserID: userID}, fn)
}

// insert adds a session with its first refresh token.
func (s *Store) insert(ctx context.Context, tx pgx.Tx, session Session, hash []byte) error {
	if _, err := postgres.TxExec(ctx, tx, `INSERT INTO sessions
		(organization_id, id, user_id, client_id, scopes, user_agent, ip_address, methods, auth_time, created_at, expires_at, opened_from)
		VALUES ($1, $2, $3, nullif($4, '')::uuid, coalesce($5::text[], '{}'), $6, $7, $8, $9, $10, $11, nullif($12, '')::uuid)`,
		session.OrganizationID, session.ID, session.UserID, session.ClientID, session.Scopes, session.UserAgent, session.IPAddress,
		session.Methods, session.AuthTime, session.CreateTime, session.ExpireTime, session.OpenedFrom); err != nil {
		return err
	}
	return s.insertToken(ctx, tx, session, hash, session.CreateTime)
}

func (s *Store) insertToken(ctx context.Context, tx pgx.Tx, session Session, hash []byte, now time.Time) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO refresh_tokens (organization_id, token_hash, session_id, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5)`, session.OrganizationID, hash, session.ID, now, session.ExpireTime)
	return err
}

// current returns an active session and locks it until the transaction ends. It returns
// false when the session has ended.
func (s *Store) current(ctx context.Context, tx pgx.Tx, organizationID, id, userID string, now time.Time) (Session, bool, error) {
	session, err := postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (Session, error) {
		out := Session{ID: id, OrganizationID: organizationID, UserID: userID}
		err := row.Scan(&out.Methods, &out.AuthTime, &out.ExpireTime)
		return out, err
	}, `SELECT methods, auth_time, expires_at FROM sessions
		WHERE organization_id = $1 AND id = $2 AND user_id = $3 AND revoked_at IS NULL AND expires_at > $4 FOR UPDATE`,
		organizationID, id, userID, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return session, false, nil
	}
	return session, err == nil, err
}

// stepUp stores the methods of a session and the time of authentication, and replaces
// the valid refresh token.
func (s *Store) stepUp(ctx context.Context, tx pgx.Tx, session Session, hash []byte) error {
	if _, err := postgres.TxExec(ctx, tx, "UPDATE sessions SET methods = $3, auth_time = $4 WHERE organization_id = $1 AND id = $2",
		session.OrganizationID, session.ID, session.Methods, session.AuthTime); err != nil {
		return err
	}
	if _, err := postgres.TxExec(ctx, tx, `UPDATE refresh_tokens SET used_at = $3
		WHERE organization_id = $1 AND session_id = $2 AND used_at IS NULL`,
		session.OrganizationID, session.ID, session.AuthTime); err != nil {
		return err
	}
	return s.insertToken(ctx, tx, session, hash, session.AuthTime)
}

// devicesMost is the number of sessions with which a sign-in is compared.
const devicesMost = 100

// devices returns the devices of a user's newest sessions, in a transaction in the
// user's scope.
func (s *Store) devices(ctx context.Context, tx pgx.Tx, userID string) ([]device, error) {
	return postgres.TxAll(ctx, tx, func(row pgx.CollectableRow) (device, error) {
		var d device
		err := row.Scan(&d.userAgent, &d.address)
		return d, err
	}, `SELECT user_agent, ip_address FROM sessions
		WHERE user_id = $1 AND client_id IS NULL ORDER BY created_at DESC, id DESC LIMIT $2`, userID, devicesMost)
}

// rotate uses up a refresh token of a client, or of a user's own session where clientID
// is empty, and stores the next one, in one statement. It returns false when the token
// is not valid. Otherwise it leaves the transaction in the scope of the session.
func (s *Store) rotate(ctx context.Context, tx pgx.Tx, clientID string, presented, successor []byte, now time.Time) (Session, bool, error) {
	session, err := postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (Session, error) {
		s := Session{ClientID: clientID}
		err := row.Scan(&s.OrganizationID, &s.ID, &s.UserID, &s.AuthTime, &s.Methods, &s.Scopes)
		return s, err
	}, "SELECT "+scopeColumns+`, auth_time, methods, scopes FROM rotate_refresh_token($1, $2, nullif($3, '')::uuid, $4)`,
		presented, successor, clientID, now)
	return optional(session, err)
}

// revokeReused ends the session of a client's refresh token that was used before, and
// all sessions that were opened from it. It returns whether the token was used before,
// and the sessions that it ended.
func (s *Store) revokeReused(ctx context.Context, tx pgx.Tx, clientID string, presented []byte, now time.Time) (ended []Session, reused bool, err error) {
	rows, err := postgres.TxAll(ctx, tx, func(row pgx.CollectableRow) (bool, error) {
		s, alive := Session{ClientID: clientID}, false
		err := row.Scan(&s.OrganizationID, &s.ID, &s.UserID, &alive)
		if alive {
			ended = append(ended, s)
		}
		return alive, err
	}, "SELECT organization_id::text, session_id::text, user_id::text, ended FROM revoke_reused($1, nullif($2, '')::uuid, $3)",
		presented, clientID, now)
	return ended, len(rows) > 0, err
}

// end ends the session of a client's refresh token. It returns false when the token is
// not valid. Otherwise it leaves the transaction in the scope of the session.
func (s *Store) end(ctx context.Context, tx pgx.Tx, clientID string, presented []byte, now time.Time) (Session, bool, error) {
	session, err := postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (Session, error) {
		s := Session{ClientID: clientID}
		err := row.Scan(&s.OrganizationID, &s.ID, &s.UserID)
		return s, err
	}, "SELECT "+scopeColumns+" FROM end_session($1, nullif($2, '')::uuid, $3)", presented, clientID, now)
	return optional(session, err)
}

// scopeColumns select the session of a token, and move the transaction to the scope of
// its user in its organization.
const scopeColumns = `set_config('app.organization_id', organization_id::text, true), session_id::text,
	set_config('app.user_id', user_id::text, true)`

// optional returns false instead of an error for no row.
func optional(session Session, err error) (Session, bool, error) {
	if errors.Is(err, postgres.ErrNoRows) {
		return Session{}, false, nil
	}
	return session, err == nil, err
}

// deleteExpired deletes expired sessions, and returns how many.
func (s *Store) deleteExpired(ctx context.Context, now time.Time) (deleted int64, err error) {
	return postgres.Sweep(ctx, s.db, "delete_expired_sessions", now)
}
