package role

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// list is what may be asked of the list.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name:         "roles",
	ID:           "id",
	Fields:       map[string]paging.Field{"createTime": {Column: "created_at", Type: paging.Time, Order: true}},
	DefaultOrder: "createTime",
}

const columns = "organization_id::text, id::text, display_name, description, permissions, revision, created_at, updated_at"

// Store keeps custom roles in Postgres, and takes them from those who have them.
type Store struct {
	db     *postgres.DB
	tokens *paging.Tokens
}

// NewStore returns a store.
func NewStore(db *postgres.DB, tokens *paging.Tokens) *Store { return &Store{db: db, tokens: tokens} }

func scan(row pgx.CollectableRow) (Role, error) {
	var r Role
	err := row.Scan(&r.OrganizationID, &r.ID, &r.DisplayName, &r.Description, &r.Permissions, &r.Revision, &r.CreateTime, &r.UpdateTime)
	return r, err
}

func (s *Store) inTx(ctx context.Context, organizationID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{OrganizationID: organizationID}, fn)
}

func (s *Store) count(ctx context.Context, tx pgx.Tx, organizationID string) (int, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[int], "SELECT count(*) FROM roles WHERE organization_id = $1", organizationID)
}

func (s *Store) insert(ctx context.Context, tx pgx.Tx, r Role) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO roles
		(organization_id, id, display_name, description, permissions, revision, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		r.OrganizationID, r.ID, r.DisplayName, r.Description, r.Permissions, r.Revision, r.CreateTime, r.UpdateTime)
	return taken(err)
}

func (s *Store) get(ctx context.Context, organizationID, id string) (Role, error) {
	r, err := postgres.QueryOne(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, scan,
		"SELECT "+columns+" FROM roles WHERE organization_id = $1 AND id = $2", organizationID, id)
	return r, postgres.NotFound(err, resourceType)
}

func (s *Store) getForUpdate(ctx context.Context, tx pgx.Tx, organizationID, id string) (Role, error) {
	r, err := postgres.TxOne(ctx, tx, scan, "SELECT "+columns+" FROM roles WHERE organization_id = $1 AND id = $2 FOR UPDATE", organizationID, id)
	return r, postgres.NotFound(err, resourceType)
}

func (s *Store) save(ctx context.Context, tx pgx.Tx, r Role) error {
	_, err := postgres.TxExec(ctx, tx, `UPDATE roles SET display_name = $3, description = $4, permissions = $5, revision = $6, updated_at = $7
		WHERE organization_id = $1 AND id = $2`,
		r.OrganizationID, r.ID, r.DisplayName, r.Description, r.Permissions, r.Revision, r.UpdateTime)
	return taken(err)
}

func (s *Store) remove(ctx context.Context, tx pgx.Tx, r Role) error {
	_, err := postgres.TxExec(ctx, tx, "DELETE FROM roles WHERE organization_id = $1 AND id = $2", r.OrganizationID, r.ID)
	return err
}

// list returns a page of an organization's roles.
func (s *Store) list(ctx context.Context, organizationID string, req paging.Request) ([]Role, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, paging.Query[Role]{
		List: list, Tokens: s.tokens, Request: req,
		SQL: "SELECT " + columns + " FROM roles WHERE organization_id = $1", Args: []any{organizationID}, Scan: scan,
		Value: func(r Role, field string) any {
			if field == "createTime" {
				return r.CreateTime
			}
			return r.ID
		},
	})
}

// holders returns the ids of the users who have a role, and keeps it so: a token that
// is being issued holds what its user has.
func (s *Store) holders(ctx context.Context, tx pgx.Tx, r Role) ([]string, error) {
	return postgres.TxAll(ctx, tx, pgx.RowTo[string],
		"SELECT user_id::text FROM memberships WHERE organization_id = $1 AND $2 = ANY (roles) FOR NO KEY UPDATE", r.OrganizationID, r.ID)
}

// invited returns how many waiting invitations give a role.
func (s *Store) invited(ctx context.Context, tx pgx.Tx, r Role) (int, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[int],
		"SELECT count(*) FROM invitations WHERE organization_id = $1 AND $2 = ANY (roles) AND accepted_at IS NULL", r.OrganizationID, r.ID)
}

// replaceInHolders takes a role from who has it, and leaves another one to who has no other.
func (s *Store) replaceInHolders(ctx context.Context, tx pgx.Tx, r Role, instead string, now time.Time) error {
	const left = "coalesce(nullif(array_remove(roles, $2), '{}'), ARRAY [$3])"
	if _, err := postgres.TxExec(ctx, tx, "UPDATE memberships SET roles = "+left+", updated_at = $4 WHERE organization_id = $1 AND $2 = ANY (roles)",
		r.OrganizationID, r.ID, instead, now); err != nil {
		return err
	}
	_, err := postgres.TxExec(ctx, tx, "UPDATE invitations SET roles = "+left+" WHERE organization_id = $1 AND $2 = ANY (roles) AND accepted_at IS NULL",
		r.OrganizationID, r.ID, instead)
	return err
}

func taken(err error) error {
	if name, ok := postgres.ViolatedConstraint(err); ok && name == "roles_name" {
		return fault.New(faultv1.Reason_REASON_ALREADY_EXISTS, "a role of this name exists")
	}
	return err
}
