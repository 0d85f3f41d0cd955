package grant

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// list declares how grants are ordered.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name:         "grants",
	ID:           "g.id",
	Fields:       map[string]paging.Field{"createTime": {Column: "g.created_at", Type: paging.Time, Order: true}},
	DefaultOrder: "createTime desc",
}

// Store stores grants in Postgres.
type Store struct {
	db     *postgres.DB
	tokens *paging.Tokens
}

// NewStore returns a store.
func NewStore(db *postgres.DB, tokens *paging.Tokens) *Store { return &Store{db: db, tokens: tokens} }

// list returns a page of a user's grants.
func (s *Store) list(ctx context.Context, userID string, req paging.Request) ([]Grant, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{UserID: userID}, paging.Query[Grant]{
		List: list, Tokens: s.tokens, Request: req,
		SQL: `SELECT g.id::text, g.organization_id::text, g.client_id::text,
				coalesce((SELECT n.display_name FROM oauth_client_names(ARRAY [g.client_id]) n), ''), g.scopes, g.created_at, g.updated_at
			FROM oauth_grants g WHERE g.user_id = $1`,
		Args: []any{userID},
		Scan: func(row pgx.CollectableRow) (Grant, error) {
			g := Grant{UserID: userID}
			err := row.Scan(&g.ID, &g.OrganizationID, &g.ClientID, &g.ClientName, &g.Scopes, &g.CreateTime, &g.UpdateTime)
			return g, err
		},
	})
}

// Find returns what a user lets a client do in an organization, in a transaction in the
// organization's scope. It is the zero Grant when there is none.
func (s *Store) Find(ctx context.Context, tx pgx.Tx, organizationID, userID, clientID string) (Grant, error) {
	g, err := postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (Grant, error) {
		g := Grant{OrganizationID: organizationID, UserID: userID, ClientID: clientID}
		err := row.Scan(&g.ID, &g.Scopes)
		return g, err
	}, "SELECT id::text, scopes FROM oauth_grants WHERE organization_id = $1 AND user_id = $2 AND client_id = $3",
		organizationID, userID, clientID)
	if errors.Is(err, postgres.ErrNoRows) {
		return Grant{}, nil
	}
	return g, err
}

// Upsert creates a grant or adds scopes to it, in a transaction in the organization's
// scope. It returns the grant's id.
func (s *Store) Upsert(ctx context.Context, tx pgx.Tx, g Grant, now time.Time) (string, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[string], `INSERT INTO oauth_grants AS g
		(organization_id, id, user_id, client_id, scopes, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)
		ON CONFLICT ON CONSTRAINT oauth_grants_one DO UPDATE SET updated_at = $6,
			scopes = ARRAY (SELECT DISTINCT unnest(g.scopes || excluded.scopes) ORDER BY 1)
		RETURNING id::text`, g.OrganizationID, id.New(), g.UserID, g.ClientID, g.Scopes, now)
}

// remove deletes a user's grant, and ends the sessions of its client in the
// organization. It returns their ids.
func (s *Store) remove(ctx context.Context, tx pgx.Tx, userID, grantID string, now time.Time) (g Grant, sessions []string, err error) {
	g, err = postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (Grant, error) {
		g := Grant{ID: grantID, UserID: userID}
		err := row.Scan(&g.OrganizationID, &g.ClientID, &g.Scopes)
		return g, err
	}, "DELETE FROM oauth_grants WHERE id = $1 AND user_id = $2 RETURNING organization_id::text, client_id::text, scopes", grantID, userID)
	if err != nil {
		return g, nil, postgres.NotFound(err, "grant")
	}
	sessions, err = postgres.TxAll(ctx, tx, pgx.RowTo[string], `UPDATE sessions SET revoked_at = $4
		WHERE organization_id = $1 AND user_id = $2 AND client_id = $3 AND revoked_at IS NULL RETURNING id::text`,
		g.OrganizationID, userID, g.ClientID, now)
	return g, sessions, err
}
