package oauthclient

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// list declares how clients are filtered and ordered.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name: "oauth clients",
	ID:   "id",
	Fields: map[string]paging.Field{
		"displayName": {Column: "display_name", Type: paging.String, Filter: true, Order: true},
		"createTime":  {Column: "created_at", Type: paging.Time, Filter: true, Order: true},
	},
	DefaultOrder: "createTime desc",
}

const columns = `organization_id::text, id::text, display_name, redirect_uris, post_logout_redirect_uris, grant_types, scopes,
	members_only, secret_hash, revision, created_at, updated_at`

const namedColumns = `organization_id::text, organization_name, display_name, redirect_uris, post_logout_redirect_uris, grant_types, scopes,
	members_only, secret_hash`

// Store stores clients in Postgres.
type Store struct {
	db     *postgres.DB
	tokens *paging.Tokens
}

// NewStore returns a store.
func NewStore(db *postgres.DB, tokens *paging.Tokens) *Store { return &Store{db: db, tokens: tokens} }

func scan(row pgx.CollectableRow) (Client, error) {
	var c Client
	err := row.Scan(&c.OrganizationID, &c.ID, &c.DisplayName, &c.RedirectURIs, &c.PostLogoutRedirectURIs, &c.GrantTypes, &c.Scopes,
		&c.MembersOnly, &c.SecretHash, &c.Revision, &c.CreateTime, &c.UpdateTime)
	return c, err
}

func (s *Store) inTx(ctx context.Context, organizationID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{OrganizationID: organizationID}, fn)
}

func (s *Store) insert(ctx context.Context, tx pgx.Tx, c Client) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO oauth_clients (organization_id, id, display_name, redirect_uris,
		post_logout_redirect_uris, grant_types, scopes, members_only, secret_hash, revision, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		c.OrganizationID, c.ID, c.DisplayName, c.RedirectURIs, c.PostLogoutRedirectURIs, c.GrantTypes, c.Scopes, c.MembersOnly,
		c.SecretHash, c.Revision, c.CreateTime, c.UpdateTime)
	return err
}

// count returns the number of clients of an organization, and locks the organization so
// that concurrent creations wait.
func (s *Store) count(ctx context.Context, tx pgx.Tx, organizationID string) (int, error) {
	if _, err := postgres.TxExec(ctx, tx, "SELECT FROM organizations WHERE id = $1 FOR NO KEY UPDATE", organizationID); err != nil {
		return 0, err
	}
	return postgres.TxOne(ctx, tx, pgx.RowTo[int], "SELECT count(*) FROM oauth_clients WHERE organization_id = $1", organizationID)
}

func (s *Store) get(ctx context.Context, organizationID, id string) (Client, error) {
	c, err := postgres.QueryOne(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, scan,
		"SELECT "+columns+" FROM oauth_clients WHERE organization_id = $1 AND id = $2", organizationID, id)
	return c, postgres.NotFound(err, kind)
}

func (s *Store) lock(ctx context.Context, tx pgx.Tx, organizationID, id string) (Client, error) {
	c, err := postgres.TxOne(ctx, tx, scan,
		"SELECT "+columns+" FROM oauth_clients WHERE organization_id = $1 AND id = $2 FOR UPDATE", organizationID, id)
	return c, postgres.NotFound(err, kind)
}

func (s *Store) save(ctx context.Context, tx pgx.Tx, c Client) error {
	_, err := postgres.TxExec(ctx, tx, `UPDATE oauth_clients SET display_name = $3, redirect_uris = $4, post_logout_redirect_uris = $5,
		grant_types = $6, scopes = $7, members_only = $8, secret_hash = $9, revision = $10, updated_at = $11
		WHERE organization_id = $1 AND id = $2`,
		c.OrganizationID, c.ID, c.DisplayName, c.RedirectURIs, c.PostLogoutRedirectURIs, c.GrantTypes, c.Scopes, c.MembersOnly,
		c.SecretHash, c.Revision, c.UpdateTime)
	return err
}

// remove deletes a client and its grants in every organization.
func (s *Store) remove(ctx context.Context, tx pgx.Tx, c Client, now time.Time) error {
	if _, err := postgres.TxExec(ctx, tx, "DELETE FROM oauth_clients WHERE organization_id = $1 AND id = $2", c.OrganizationID, c.ID); err != nil {
		return err
	}
	_, err := postgres.TxExec(ctx, tx, "SELECT end_oauth_client($1, $2)", c.ID, now)
	return err
}

func (s *Store) list(ctx context.Context, organizationID string, req paging.Request) ([]Client, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, paging.Query[Client]{
		List: list, Tokens: s.tokens, Request: req,
		SQL: "SELECT " + columns + " FROM oauth_clients WHERE organization_id = $1", Args: []any{organizationID}, Scan: scan,
		Value: func(c Client, field string) any {
			switch field {
			case "displayName":
				return c.DisplayName
			case "createTime":
				return c.CreateTime
			default:
				return c.ID
			}
		},
	})
}

// ByID returns the client with an id, in whatever organization, or NOT_FOUND.
func (s *Store) ByID(ctx context.Context, id string) (Client, error) {
	c, err := postgres.QueryOne(ctx, s.db, postgres.Scope{}, scanNamed(id), "SELECT "+namedColumns+" FROM oauth_client($1)", id)
	return c, postgres.NotFound(err, kind)
}

// LockShared is [Store.ByID] in a transaction, and keeps the client unchanged until the
// transaction ends. Issuing tokens takes this lock, so that a change of the client
// either finds the tokens or is found by them.
func (s *Store) LockShared(ctx context.Context, tx pgx.Tx, id string) (Client, error) {
	c, err := postgres.TxOne(ctx, tx, scanNamed(id), "SELECT "+namedColumns+" FROM hold_oauth_client($1)", id)
	return c, postgres.NotFound(err, kind)
}

// scanNamed reads the client with an id.
func scanNamed(id string) pgx.RowToFunc[Client] {
	return func(row pgx.CollectableRow) (Client, error) {
		c := Client{ID: id}
		err := row.Scan(&c.OrganizationID, &c.OrganizationName, &c.DisplayName, &c.RedirectURIs, &c.PostLogoutRedirectURIs,
			&c.GrantTypes, &c.Scopes, &c.MembersOnly, &c.SecretHash)
		return c, err
	}
}
