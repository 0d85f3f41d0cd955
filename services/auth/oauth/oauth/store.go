package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/credential/session"
)

// store stores the sign-ins of browsers, consent requests and codes in Postgres.
type store struct{ db *postgres.DB }

// newStore returns a store.
func newStore(db *postgres.DB) *store { return &store{db: db} }

// login is the session that is signed in at a browser. It is the zero login when there
// is none.
type login struct {
	session.Session
	hash []byte
}

// replaceLogin makes a session that of a browser. It deletes the session's previous
// login, which would otherwise stay until the session expires.
func (s *store) replaceLogin(ctx context.Context, organizationID, sessionID string, hash []byte) error {
	_, err := postgres.Exec(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, `WITH before AS (
			DELETE FROM oauth_logins WHERE organization_id = $1 AND session_id = $3
		) INSERT INTO oauth_logins (organization_id, token_hash, session_id) VALUES ($1, $2, $3)`, organizationID, hash, sessionID)
	return err
}

// login returns the session of a browser.
func (s *store) login(ctx context.Context, hash []byte, now time.Time) (login, error) {
	l, err := postgres.QueryOne(ctx, s.db, postgres.Scope{}, func(row pgx.CollectableRow) (login, error) {
		l := login{hash: hash}
		err := row.Scan(&l.OrganizationID, &l.ID, &l.UserID, &l.AuthTime, &l.Methods)
		return l, err
	}, "SELECT organization_id::text, session_id::text, user_id::text, auth_time, methods FROM oauth_login($1, $2)", hash, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return login{}, nil
	}
	return l, err
}

// endLogin signs a browser out. It returns false when the browser was not signed in.
func (s *store) endLogin(ctx context.Context, tx pgx.Tx, hash []byte, now time.Time) (login, bool, error) {
	l, err := postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (login, error) {
		var l login
		err := row.Scan(&l.OrganizationID, &l.ID, &l.UserID)
		return l, err
	}, "SELECT organization_id::text, session_id::text, user_id::text FROM end_oauth_login($1, $2)", hash, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return l, false, nil
	}
	if err != nil {
		return l, false, err
	}
	return l, true, postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: l.OrganizationID, UserID: l.UserID})
}

func (s *store) organizationName(ctx context.Context, tx pgx.Tx, id string) (string, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[string], "SELECT display_name FROM organizations WHERE id = $1", id)
}

func (s *store) insertConsent(ctx context.Context, tx pgx.Tx, clientID string, r request, ticket, login []byte, until time.Time) error {
	stored, err := postgres.JSON(r)
	if err != nil {
		return err
	}
	_, err = postgres.TxExec(ctx, tx, `INSERT INTO oauth_consents (organization_id, ticket_hash, login_hash, client_id, request, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, r.OrganizationID, ticket, login, clientID, stored, until)
	return err
}

// useConsent uses up a consent request. It returns false when the request belongs to
// another browser or has expired.
func (s *store) useConsent(ctx context.Context, tx pgx.Tx, ticket, login []byte, now time.Time) (clientID string, r request, found bool, err error) {
	var stored []byte
	clientID, err = postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (string, error) {
		var id string
		err := row.Scan(&id, &stored)
		return id, err
	}, "SELECT client_id::text, request::text FROM take_oauth_consent($1, $2, $3)", ticket, login, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return "", r, false, nil
	}
	if err != nil {
		return "", r, false, err
	}
	if err := json.Unmarshal(stored, &r); err != nil {
		return "", r, false, fmt.Errorf("oauth: a stored request: %w", err)
	}
	return clientID, r, true, nil
}

func (s *store) insertCode(ctx context.Context, tx pgx.Tx, clientID string, r request, l login, hash []byte, until time.Time) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO oauth_codes (organization_id, code_hash, client_id, user_id, login_in, login_session,
		redirect_uri, scopes, nonce, code_challenge, auth_time, methods, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		r.OrganizationID, hash, clientID, l.UserID, l.OrganizationID, l.ID, r.RedirectURI, r.Scopes, r.Nonce, r.Challenge,
		l.AuthTime, l.Methods, until)
	return err
}

// code is an authorization code that was just used.
type code struct {
	// Session is the session that the code opens.
	session.Session
	redirectURI, nonce, challenge string
}

// useCode uses up a client's code for a session. It returns false when the code is not
// valid.
func (s *store) useCode(ctx context.Context, tx pgx.Tx, hash []byte, clientID, sessionID string, now time.Time) (code, bool, error) {
	c, err := postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (code, error) {
		c := code{Session: session.Session{ID: sessionID, ClientID: clientID}}
		err := row.Scan(&c.OrganizationID, &c.UserID, &c.redirectURI, &c.Scopes, &c.nonce, &c.challenge, &c.AuthTime, &c.Methods)
		return c, err
	}, `SELECT organization_id::text, user_id::text, redirect_uri, scopes, nonce, code_challenge, auth_time, methods
		FROM take_oauth_code($1, $2, $3, $4)`, hash, clientID, sessionID, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return c, false, nil
	}
	if err != nil {
		return c, false, err
	}
	return c, true, postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: c.OrganizationID, UserID: c.UserID})
}

// revokeReusedCode ends the session of a code that was used before. It returns false
// when there was none to end.
func (s *store) revokeReusedCode(ctx context.Context, tx pgx.Tx, hash []byte, clientID string, now time.Time) (session.Session, bool, error) {
	var ended bool
	found, err := postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (session.Session, error) {
		out := session.Session{ClientID: clientID}
		err := row.Scan(&out.OrganizationID, &out.ID, &out.UserID, &ended)
		return out, err
	}, "SELECT organization_id::text, session_id::text, user_id::text, ended FROM revoke_reused_oauth_code($1, $2, $3)", hash, clientID, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return found, false, nil
	}
	if err != nil || !ended {
		return found, false, err
	}
	return found, true, postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: found.OrganizationID, UserID: found.UserID})
}

// endSession ends the session of an access token, if there is one.
func (s *store) endSession(ctx context.Context, tx pgx.Tx, p *identity.Principal, now time.Time) error {
	_, err := postgres.TxExec(ctx, tx, `UPDATE sessions SET revoked_at = $4
		WHERE organization_id = $1 AND id = $2 AND user_id = $3 AND revoked_at IS NULL`, p.OrganizationID, p.SessionID, p.UserID, now)
	return err
}

// refreshToken returns the session of a client's refresh token, with the times at which
// the token was created and expires. It returns false when the token is not valid.
func (s *store) refreshToken(ctx context.Context, hash []byte, clientID string, now time.Time) (session.Session, bool, error) {
	t, err := postgres.QueryOne(ctx, s.db, postgres.Scope{}, func(row pgx.CollectableRow) (session.Session, error) {
		var t session.Session
		err := row.Scan(&t.UserID, &t.OrganizationID, &t.ID, &t.Scopes, &t.CreateTime, &t.ExpireTime)
		return t, err
	}, `SELECT user_id::text, organization_id::text, session_id::text, scopes, created_at, expires_at
		FROM oauth_refresh_token($1, $2, $3)`, hash, clientID, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return t, false, nil
	}
	return t, err == nil, err
}

func (s *store) deleteExpired(ctx context.Context, now time.Time) error {
	_, err := postgres.Sweep(ctx, s.db, "delete_expired_oauth", now)
	return err
}
