package assistant

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// list is what may be asked of a list of assistants.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name: "assistants",
	ID:   "id",
	Fields: map[string]paging.Field{
		"displayName": {Column: "display_name", Type: paging.String, Filter: true, Order: true},
		"model":       {Column: "model", Type: paging.String, Filter: true},
		"createTime":  {Column: "created_at", Type: paging.Time, Filter: true, Order: true},
		"updateTime":  {Column: "updated_at", Type: paging.Time, Filter: true, Order: true},
	},
	DefaultOrder: "createTime desc",
}

const columns = `organization_id::text, id::text, display_name, description, instructions, model, temperature,
	collection_ids::text[], tools, revision, created_at, updated_at, deleted_at`

// Store keeps assistants in Postgres.
type Store struct {
	db     *postgres.DB
	tokens *paging.Tokens
}

// NewStore returns a store.
func NewStore(db *postgres.DB, tokens *paging.Tokens) *Store { return &Store{db: db, tokens: tokens} }

func scan(row pgx.CollectableRow) (Assistant, error) {
	var a Assistant
	err := row.Scan(&a.OrganizationID, &a.ID, &a.DisplayName, &a.Description, &a.Instructions, &a.Model, &a.Temperature,
		&a.CollectionIDs, &a.Tools, &a.Revision, &a.CreateTime, &a.UpdateTime, &a.DeleteTime)
	return a, err
}

// InTx runs fn in a transaction of an organization.
func (s *Store) InTx(ctx context.Context, organizationID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{OrganizationID: organizationID}, fn)
}

// Insert adds an assistant.
func (s *Store) Insert(ctx context.Context, tx pgx.Tx, a Assistant) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO assistants
		(organization_id, id, display_name, description, instructions, model, temperature, collection_ids, tools,
		 revision, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8::uuid[], $9::text[], $10, $11, $12)`,
		a.OrganizationID, a.ID, a.DisplayName, a.Description, a.Instructions, a.Model, a.Temperature,
		a.CollectionIDs, a.Tools, a.Revision, a.CreateTime, a.UpdateTime)
	return err
}

// Get returns an assistant of an organization, also a deleted one.
func (s *Store) Get(ctx context.Context, organizationID, id string) (Assistant, error) {
	a, err := postgres.QueryOne(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, scan,
		"SELECT "+columns+" FROM assistants WHERE organization_id = $1 AND id = $2", organizationID, id)
	return a, postgres.NotFound(err, resourceType)
}

// GetForUpdate returns an assistant and locks it until the transaction ends.
func (s *Store) GetForUpdate(ctx context.Context, tx pgx.Tx, organizationID, id string) (Assistant, error) {
	a, err := postgres.TxOne(ctx, tx, scan,
		"SELECT "+columns+" FROM assistants WHERE organization_id = $1 AND id = $2 FOR UPDATE", organizationID, id)
	return a, postgres.NotFound(err, resourceType)
}

// Save writes an assistant back, and announces it because others cache it.
func (s *Store) Save(ctx context.Context, tx pgx.Tx, a Assistant) error {
	_, err := postgres.TxExec(ctx, tx, `UPDATE assistants SET
		display_name = $3, description = $4, instructions = $5, model = $6, temperature = $7,
		collection_ids = $8::uuid[], tools = $9::text[], revision = $10, updated_at = $11, deleted_at = $12
		WHERE organization_id = $1 AND id = $2`,
		a.OrganizationID, a.ID, a.DisplayName, a.Description, a.Instructions, a.Model, a.Temperature,
		a.CollectionIDs, a.Tools, a.Revision, a.UpdateTime, a.DeleteTime)
	if err != nil {
		return err
	}
	return postgres.Notify(ctx, tx, Channel, a.ID)
}

// List returns a page of an organization's assistants, deleted ones among them
// where that is asked for.
func (s *Store) List(ctx context.Context, organizationID string, deleted bool, req paging.Request) ([]Assistant, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, paging.Query[Assistant]{
		List: list, Tokens: s.tokens, Request: req,
		SQL:  "SELECT " + columns + " FROM assistants WHERE organization_id = $1 AND ($2::boolean OR deleted_at IS NULL)",
		Args: []any{organizationID, deleted}, Scan: scan, Value: sortValue,
	})
}

func sortValue(a Assistant, field string) any {
	switch field {
	case "displayName":
		return a.DisplayName
	case "createTime":
		return a.CreateTime
	case "updateTime":
		return a.UpdateTime
	default:
		return a.ID
	}
}
