package serviceaccount

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// list is what may be asked of the list.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name:         "service accounts",
	ID:           "u.id",
	Fields:       map[string]paging.Field{"createTime": {Column: "u.created_at", Type: paging.Time, Order: true}},
	DefaultOrder: "createTime",
}

const selection = `SELECT m.organization_id::text, u.id::text, u.display_name, m.roles, custom_permissions(m.organization_id, m.roles),
	u.disabled, u.revision, u.created_at, u.updated_at
	FROM memberships m JOIN users u ON u.id = m.user_id AND u.kind = 'service' WHERE m.organization_id = $1`

// Store keeps service accounts in Postgres: each is a user with one membership.
// Row level security shows a user to its organization, and lets it be changed in
// its own scope alone.
type Store struct {
	db            *postgres.DB
	tokens        *paging.Tokens
	organizations *organization.Store
}

// NewStore returns a store.
func NewStore(db *postgres.DB, tokens *paging.Tokens, organizations *organization.Store) *Store {
	return &Store{db: db, tokens: tokens, organizations: organizations}
}

func scan(row pgx.CollectableRow) (ServiceAccount, error) {
	var a ServiceAccount
	err := row.Scan(&a.OrganizationID, &a.ID, &a.DisplayName, &a.Roles, &a.Permissions, &a.Disabled, &a.Revision, &a.CreateTime, &a.UpdateTime)
	return a, err
}

func (s *Store) inTx(ctx context.Context, organizationID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{OrganizationID: organizationID}, fn)
}

// enter makes what follows in a transaction of its organization the account's own.
func enter(ctx context.Context, tx pgx.Tx, a ServiceAccount) error {
	return postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: a.OrganizationID, UserID: a.ID})
}

func (s *Store) count(ctx context.Context, tx pgx.Tx, organizationID string) (int, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[int], `SELECT count(*) FROM memberships m JOIN users u ON u.id = m.user_id
		WHERE m.organization_id = $1 AND u.kind = 'service'`, organizationID)
}

func (s *Store) insert(ctx context.Context, tx pgx.Tx, a ServiceAccount) error {
	if err := enter(ctx, tx, a); err != nil {
		return err
	}
	if _, err := postgres.TxExec(ctx, tx, `INSERT INTO users
		(id, kind, email, email_normalized, password_hash, display_name, disabled, revision, created_at, updated_at)
		VALUES ($1, 'service', '', NULL, '', $2, $3, $4, $5, $6)`,
		a.ID, a.DisplayName, a.Disabled, a.Revision, a.CreateTime, a.UpdateTime); err != nil {
		return err
	}
	return s.organizations.InsertMember(ctx, tx, a.member())
}

func (s *Store) save(ctx context.Context, tx pgx.Tx, a ServiceAccount) error {
	if err := enter(ctx, tx, a); err != nil {
		return err
	}
	if _, err := postgres.TxExec(ctx, tx, "UPDATE users SET display_name = $2, disabled = $3, revision = $4, updated_at = $5 WHERE id = $1",
		a.ID, a.DisplayName, a.Disabled, a.Revision, a.UpdateTime); err != nil {
		return err
	}
	return s.organizations.SaveMember(ctx, tx, a.member())
}

// remove deletes an account, and with it its keys.
func (s *Store) remove(ctx context.Context, tx pgx.Tx, a ServiceAccount) error {
	if err := enter(ctx, tx, a); err != nil {
		return err
	}
	if err := s.organizations.DeleteMember(ctx, tx, a.member()); err != nil {
		return err
	}
	_, err := postgres.TxExec(ctx, tx, "DELETE FROM users WHERE id = $1", a.ID)
	return err
}

func (s *Store) get(ctx context.Context, organizationID, id string) (ServiceAccount, error) {
	a, err := postgres.QueryOne(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, scan, selection+" AND u.id = $2", organizationID, id)
	return a, postgres.NotFound(err, kind)
}

// getIn is get inside a transaction of the organization.
func (s *Store) getIn(ctx context.Context, tx pgx.Tx, organizationID, id string) (ServiceAccount, error) {
	a, err := postgres.TxOne(ctx, tx, scan, selection+" AND u.id = $2", organizationID, id)
	return a, postgres.NotFound(err, kind)
}

// list returns a page of an organization's service accounts.
func (s *Store) list(ctx context.Context, organizationID string, req paging.Request) ([]ServiceAccount, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, paging.Query[ServiceAccount]{
		List: list, Tokens: s.tokens, Request: req, SQL: selection, Args: []any{organizationID}, Scan: scan,
		Value: func(a ServiceAccount, field string) any {
			if field == "createTime" {
				return a.CreateTime
			}
			return a.ID
		},
	})
}
