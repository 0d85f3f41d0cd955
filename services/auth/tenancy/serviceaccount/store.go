package serviceaccount

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// accounts makes the columns of a service account from its user and its membership.
const accounts = `WITH service_accounts AS (
	SELECT m.organization_id, u.id, u.display_name, m.roles, custom_permissions(m.organization_id, m.roles) AS permissions,
		u.disabled, u.revision, u.created_at, u.updated_at
	FROM memberships m JOIN users u ON u.id = m.user_id AND u.kind = 'service' WHERE m.organization_id = $1) `

// store keeps service accounts in Postgres. Each is a user with one membership. Row level
// security lets an organization read the user, but only the user's own scope change it.
type store struct {
	db            *postgres.DB
	tokens        *paging.Tokens
	organizations *organization.Store
}

// InTx runs fn in a transaction of an organization.
func (s store) InTx(ctx context.Context, organizationID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{OrganizationID: organizationID}, fn)
}

// enter gives the rest of a transaction of the organization the scope of the account.
func enter(ctx context.Context, tx pgx.Tx, a ServiceAccount) error {
	return postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: a.OrganizationID, UserID: a.ID})
}

func (s store) count(ctx context.Context, tx pgx.Tx, organizationID string) (int, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[int], `SELECT count(*) FROM memberships m JOIN users u ON u.id = m.user_id
		WHERE m.organization_id = $1 AND u.kind = 'service'`, organizationID)
}

// Insert adds a service account: its user and its membership.
func (s store) Insert(ctx context.Context, tx pgx.Tx, a ServiceAccount) error {
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

// Update writes a service account back.
func (s store) Update(ctx context.Context, tx pgx.Tx, a ServiceAccount) error {
	if err := enter(ctx, tx, a); err != nil {
		return err
	}
	if _, err := postgres.TxExec(ctx, tx, "UPDATE users SET display_name = $2, disabled = $3, revision = $4, updated_at = $5 WHERE id = $1",
		a.ID, a.DisplayName, a.Disabled, a.Revision, a.UpdateTime); err != nil {
		return err
	}
	return s.organizations.SaveMember(ctx, tx, a.member())
}

// Delete deletes a service account and its keys.
func (s store) Delete(ctx context.Context, tx pgx.Tx, a ServiceAccount) error {
	if err := enter(ctx, tx, a); err != nil {
		return err
	}
	if err := s.organizations.DeleteMember(ctx, tx, a.member()); err != nil {
		return err
	}
	_, err := postgres.TxExec(ctx, tx, "DELETE FROM users WHERE id = $1", a.ID)
	return err
}

func (s store) get(ctx context.Context, organizationID, id string) (ServiceAccount, error) {
	a, err := postgres.QueryOne(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, kind.Table.Scan,
		accounts+kind.Table.Select()+" WHERE id = $2", organizationID, id)
	return a, postgres.NotFound(err, kind.Noun())
}

// Lock returns a service account. It locks nothing: the caller's grant, which every write
// reads first, locks the organization.
func (s store) Lock(ctx context.Context, tx pgx.Tx, organizationID, id string) (ServiceAccount, error) {
	a, err := postgres.TxOne(ctx, tx, kind.Table.Scan, accounts+kind.Table.Select()+" WHERE id = $2", organizationID, id)
	return a, postgres.NotFound(err, kind.Noun())
}

// list returns a page of an organization's service accounts.
func (s store) list(ctx context.Context, organizationID string, req paging.Request) ([]ServiceAccount, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, paging.Query[ServiceAccount]{
		List: kind.List, Tokens: s.tokens, Request: req, Table: kind.Table,
		SQL: accounts + kind.Table.Select() + " WHERE organization_id = $1", Args: []any{organizationID},
	})
}
