package collection

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// list is what may be asked of a list of collections.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name: "collections",
	ID:   "id",
	Fields: map[string]paging.Field{
		"displayName": {Column: "display_name", Type: paging.String, Filter: true, Order: true},
		"createTime":  {Column: "created_at", Type: paging.Time, Filter: true, Order: true},
		"updateTime":  {Column: "updated_at", Type: paging.Time, Filter: true, Order: true},
	},
	DefaultOrder: "createTime desc",
}

const columns = `organization_id::text, id::text, display_name, description,
	(SELECT count(*)::int FROM documents d
	 WHERE d.organization_id = collections.organization_id AND d.collection_id = collections.id),
	(SELECT coalesce(sum(d.chunk_count), 0)::int FROM documents d
	 WHERE d.organization_id = collections.organization_id AND d.collection_id = collections.id),
	revision, created_at, updated_at`

type store struct {
	db     *postgres.DB
	tokens *paging.Tokens
}

func scan(row pgx.CollectableRow) (Collection, error) {
	var c Collection
	err := row.Scan(&c.OrganizationID, &c.ID, &c.DisplayName, &c.Description, &c.DocumentCount, &c.ChunkCount,
		&c.Revision, &c.CreateTime, &c.UpdateTime)
	return c, err
}

func (s *store) inTx(ctx context.Context, organizationID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{OrganizationID: organizationID}, fn)
}

func (s *store) insert(ctx context.Context, tx pgx.Tx, c Collection) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO collections
		(organization_id, id, display_name, description, revision, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		c.OrganizationID, c.ID, c.DisplayName, c.Description, c.Revision, c.CreateTime, c.UpdateTime)
	return err
}

func (s *store) get(ctx context.Context, organizationID, id string) (Collection, error) {
	c, err := postgres.QueryOne(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, scan,
		"SELECT "+columns+" FROM collections WHERE organization_id = $1 AND id = $2", organizationID, id)
	return c, postgres.NotFound(err, resourceType)
}

// getForUpdate locks the collection until the transaction ends. Nothing can be
// put into it meanwhile, as a new document locks its collection too.
func (s *store) getForUpdate(ctx context.Context, tx pgx.Tx, organizationID, id string) (Collection, error) {
	c, err := postgres.TxOne(ctx, tx, scan,
		"SELECT "+columns+" FROM collections WHERE organization_id = $1 AND id = $2 FOR UPDATE", organizationID, id)
	return c, postgres.NotFound(err, resourceType)
}

// countDocuments is asked once the collection is locked: the counts that came
// with the lock were taken before it was waited for.
func (s *store) countDocuments(ctx context.Context, tx pgx.Tx, c Collection) (int64, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[int64],
		"SELECT count(*) FROM documents WHERE organization_id = $1 AND collection_id = $2", c.OrganizationID, c.ID)
}

func (s *store) save(ctx context.Context, tx pgx.Tx, c Collection) error {
	_, err := postgres.TxExec(ctx, tx, `UPDATE collections SET
		display_name = $3, description = $4, revision = $5, updated_at = $6
		WHERE organization_id = $1 AND id = $2`,
		c.OrganizationID, c.ID, c.DisplayName, c.Description, c.Revision, c.UpdateTime)
	return err
}

// remove deletes the collection; the schema takes its documents along.
func (s *store) remove(ctx context.Context, tx pgx.Tx, c Collection) error {
	_, err := postgres.TxExec(ctx, tx, "DELETE FROM collections WHERE organization_id = $1 AND id = $2",
		c.OrganizationID, c.ID)
	return err
}

func (s *store) list(ctx context.Context, organizationID string, req paging.Request) ([]Collection, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, paging.Query[Collection]{
		List: list, Tokens: s.tokens, Request: req,
		SQL: "SELECT " + columns + " FROM collections WHERE organization_id = $1", Args: []any{organizationID},
		Scan: scan, Value: sortValue,
	})
}

func sortValue(c Collection, field string) any {
	switch field {
	case "displayName":
		return c.DisplayName
	case "createTime":
		return c.CreateTime
	case "updateTime":
		return c.UpdateTime
	default:
		return c.ID
	}
}
