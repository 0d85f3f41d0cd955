package publishablekey

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// list is what may be asked of the list.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name:         "publishable keys",
	ID:           "id",
	Fields:       map[string]paging.Field{"createTime": {Column: "created_at", Type: paging.Time, Order: true}},
	DefaultOrder: "createTime",
}

const columns = "organization_id::text, id::text, key, display_name, origins, disabled, revision, created_at, updated_at"

// Store keeps publishable keys in Postgres.
type Store struct {
	db     *postgres.DB
	tokens *paging.Tokens
}

// NewStore returns a store.
func NewStore(db *postgres.DB, tokens *paging.Tokens) *Store { return &Store{db: db, tokens: tokens} }

func scan(row pgx.CollectableRow) (Key, error) {
	var k Key
	err := row.Scan(&k.OrganizationID, &k.ID, &k.Key, &k.DisplayName, &k.Origins, &k.Disabled, &k.Revision, &k.CreateTime, &k.UpdateTime)
	return k, err
}

func (s *Store) inTx(ctx context.Context, organizationID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{OrganizationID: organizationID}, fn)
}

// count returns how many keys an organization has, and keeps others from adding any
// meanwhile.
func (s *Store) count(ctx context.Context, tx pgx.Tx, organizationID string) (int, error) {
	if _, err := postgres.TxExec(ctx, tx, "SELECT FROM organizations WHERE id = $1 FOR NO KEY UPDATE", organizationID); err != nil {
		return 0, err
	}
	return postgres.TxOne(ctx, tx, pgx.RowTo[int], "SELECT count(*) FROM publishable_keys WHERE organization_id = $1", organizationID)
}

func (s *Store) insert(ctx context.Context, tx pgx.Tx, k Key) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO publishable_keys
		(organization_id, id, key, display_name, origins, disabled, revision, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		k.OrganizationID, k.ID, k.Key, k.DisplayName, k.Origins, k.Disabled, k.Revision, k.CreateTime, k.UpdateTime)
	return err
}

func (s *Store) get(ctx context.Context, organizationID, id string) (Key, error) {
	k, err := postgres.QueryOne(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, scan,
		"SELECT "+columns+" FROM publishable_keys WHERE organization_id = $1 AND id = $2", organizationID, id)
	return k, postgres.NotFound(err, kind)
}

func (s *Store) getForUpdate(ctx context.Context, tx pgx.Tx, organizationID, id string) (Key, error) {
	k, err := postgres.TxOne(ctx, tx, scan,
		"SELECT "+columns+" FROM publishable_keys WHERE organization_id = $1 AND id = $2 FOR UPDATE", organizationID, id)
	return k, postgres.NotFound(err, kind)
}

func (s *Store) save(ctx context.Context, tx pgx.Tx, k Key) error {
	_, err := postgres.TxExec(ctx, tx, `UPDATE publishable_keys SET display_name = $3, origins = $4, disabled = $5, revision = $6, updated_at = $7
		WHERE organization_id = $1 AND id = $2`,
		k.OrganizationID, k.ID, k.DisplayName, k.Origins, k.Disabled, k.Revision, k.UpdateTime)
	return err
}

func (s *Store) remove(ctx context.Context, tx pgx.Tx, k Key) error {
	_, err := postgres.TxExec(ctx, tx, "DELETE FROM publishable_keys WHERE organization_id = $1 AND id = $2", k.OrganizationID, k.ID)
	return err
}

// list returns a page of an organization's publishable keys.
func (s *Store) list(ctx context.Context, organizationID string, req paging.Request) ([]Key, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, paging.Query[Key]{
		List: list, Tokens: s.tokens, Request: req,
		SQL: "SELECT " + columns + " FROM publishable_keys WHERE organization_id = $1", Args: []any{organizationID}, Scan: scan,
		Value: func(k Key, field string) any {
			if field == "createTime" {
				return k.CreateTime
			}
			return k.ID
		},
	})
}

// resolve answers what a key stands for on pages of an origin.
func (s *Store) resolve(ctx context.Context, key, of string) (apikey.Publishable, error) {
	var allowed bool
	found, err := postgres.QueryOne(ctx, s.db, postgres.Scope{}, func(row pgx.CollectableRow) (apikey.Publishable, error) {
		var p apikey.Publishable
		err := row.Scan(&p.ID, &p.OrganizationID, &allowed)
		return p, err
	}, "SELECT id::text, organization_id::text, allowed FROM resolve_publishable_key($1, $2) WHERE organization_active(organization_id)", key, of)
	if errors.Is(err, postgres.ErrNoRows) {
		return found, identity.Unauthenticated()
	}
	if err == nil && !allowed {
		err = apikey.OriginNotAllowed()
	}
	return found, err
}
