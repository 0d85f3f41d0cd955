package usersession

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// list declares how sessions are ordered.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name:         "sessions",
	ID:           "s.id",
	Fields:       map[string]paging.Field{"createTime": {Column: "s.created_at", Type: paging.Time, Order: true}},
	DefaultOrder: "createTime",
}

// store reads and ends sessions in Postgres.
type store struct {
	db     *postgres.DB
	tokens *paging.Tokens
}

// newStore returns a store.
func newStore(db *postgres.DB, tokens *paging.Tokens) *store { return &store{db: db, tokens: tokens} }

func (s *store) inTx(ctx context.Context, userID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{UserID: userID}, fn)
}

// list returns a page of a user's active sessions.
func (s *store) list(ctx context.Context, userID string, req paging.Request) ([]Session, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{UserID: userID}, paging.Query[Session]{
		List: list, Tokens: s.tokens, Request: req,
		SQL: `SELECT s.id::text, s.organization_id::text, s.user_agent, s.ip_address, s.created_at, coalesce((
				SELECT max(t.created_at) FROM refresh_tokens t
				WHERE t.organization_id = s.organization_id AND t.session_id = s.id), s.created_at), s.expires_at
			FROM sessions s WHERE s.user_id = $1 AND s.client_id IS NULL AND s.revoked_at IS NULL AND s.expires_at > now()`,
		Args: []any{userID}, Scan: scan,
	})
}

func scan(row pgx.CollectableRow) (Session, error) {
	var s Session
	err := row.Scan(&s.ID, &s.OrganizationID, &s.UserAgent, &s.IPAddress, &s.CreateTime, &s.LastUsedTime, &s.ExpireTime)
	return s, err
}

// end revokes one session of a user, or all of them, except the session kept. It
// returns their ids by organization.
func (s *store) end(ctx context.Context, tx pgx.Tx, userID, sessionID, kept string, now time.Time) ([]group, error) {
	// Opening a session locks its user, so the session is either found below, or waits.
	if _, err := postgres.TxExec(ctx, tx, "SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", userID); err != nil {
		return nil, err
	}
	if sessionID == "" { // unfinished sign-ins end too
		if _, err := postgres.TxExec(ctx, tx, "DELETE FROM factor_challenges WHERE user_id = $1", userID); err != nil {
			return nil, err
		}
	}
	condition, args := "", []any{userID, now}
	if sessionID != "" {
		args = append(args, sessionID)
		condition += fmt.Sprintf(" AND id = $%d", len(args))
	}
	if kept != "" {
		args = append(args, kept)
		condition += fmt.Sprintf(" AND id <> $%d", len(args))
	}
	return postgres.TxAll(ctx, tx, pgx.RowToStructByPos[group], `WITH ended AS (
			UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2`+condition+`
			RETURNING organization_id, id)
		SELECT organization_id::text, array_agg(id::text) FROM ended GROUP BY organization_id`, args...)
}
