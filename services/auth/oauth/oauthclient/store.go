package oauthclient

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

const namedColumns = `organization_id::text, organization_name, display_name, redirect_uris, post_logout_redirect_uris, grant_types, scopes,
	members_only, secret_hash`

// Store keeps clients in Postgres.
type Store struct{ entity.Store[Client] }

// NewStore returns a store.
func NewStore(db *postgres.DB, tokens *paging.Tokens) *Store {
	return &Store{entity.NewStore(db, tokens, kind)}
}

// count returns the number of an organization's clients. It locks the organization, so that
// no other transaction adds one.
func (s *Store) count(ctx context.Context, tx pgx.Tx, organizationID string) (int, error) {
	if _, err := postgres.TxExec(ctx, tx, "SELECT FROM organizations WHERE id = $1 FOR NO KEY UPDATE", organizationID); err != nil {
		return 0, err
	}
	return s.Count(ctx, tx, organizationID)
}

// deleteGrants deletes what users of any organization have allowed a client.
func (s *Store) deleteGrants(ctx context.Context, tx pgx.Tx, c Client, now time.Time) error {
	_, err := postgres.TxExec(ctx, tx, "SELECT end_oauth_client($1, $2)", c.ID, now)
	return err
}

// ByID returns the client with an id, in whatever organization, or NOT_FOUND.
func (s *Store) ByID(ctx context.Context, id string) (Client, error) {
	c, err := postgres.QueryOne(ctx, s.DB, postgres.Scope{}, scanNamed(id), "SELECT "+namedColumns+" FROM oauth_client($1)", id)
	return c, postgres.NotFound(err, kind.Noun())
}

// LockShared is [Store.ByID] in a transaction, and keeps the client unchanged until the
// transaction ends. Issuing tokens takes this lock, so that a change of the client
// either finds the tokens or is found by them.
func (s *Store) LockShared(ctx context.Context, tx pgx.Tx, id string) (Client, error) {
	c, err := postgres.TxOne(ctx, tx, scanNamed(id), "SELECT "+namedColumns+" FROM hold_oauth_client($1)", id)
	return c, postgres.NotFound(err, kind.Noun())
}

// scanNamed reads the client with an id.
func scanNamed(id string) pgx.RowToFunc[Client] {
	return func(row pgx.CollectableRow) (Client, error) {
		c := Client{Meta: entity.Meta{ID: id}}
		err := row.Scan(&c.OrganizationID, &c.OrganizationName, &c.DisplayName, &c.RedirectURIs, &c.PostLogoutRedirectURIs,
			&c.GrantTypes, &c.Scopes, &c.MembersOnly, &c.SecretHash)
		return c, err
	}
}
