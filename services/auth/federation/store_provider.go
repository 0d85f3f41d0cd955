package federation

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// providers declares how the providers of an organization are ordered.
var providers = paging.List{ //nolint:gochecknoglobals // a constant table
	Name:         "identity providers",
	ID:           "id",
	Fields:       map[string]paging.Field{"createTime": {Column: "created_at", Type: paging.Time, Order: true}},
	DefaultOrder: "createTime",
}

const providerColumns = "organization_id::text, id::text, display_name, issuer, client_id, sealed_secret, domains, role, revision, created_at, updated_at"

func scanProvider(row pgx.CollectableRow) (OrganizationProvider, error) {
	var p OrganizationProvider
	err := row.Scan(&p.OrganizationID, &p.ID, &p.DisplayName, &p.Issuer, &p.ClientID, &p.sealed, &p.Domains, &p.Role, &p.Revision,
		&p.CreateTime, &p.UpdateTime)
	return p, err
}

// anyProvider returns a provider of any organization by its id, or NOT_FOUND.
func (s *Store) anyProvider(ctx context.Context, id string) (OrganizationProvider, error) {
	p, err := postgres.QueryOne(ctx, s.db, postgres.Scope{}, scanProvider, "SELECT "+providerColumns+" FROM identity_provider($1)", id)
	return p, postgres.NotFound(err, kindProvider)
}

// getProvider returns a provider of an organization.
func (s *Store) getProvider(ctx context.Context, organizationID, id string) (OrganizationProvider, error) {
	p, err := postgres.QueryOne(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, scanProvider,
		"SELECT "+providerColumns+" FROM identity_providers WHERE organization_id = $1 AND id = $2", organizationID, id)
	return p, postgres.NotFound(err, kindProvider)
}

// lockProvider is getProvider in a transaction, and locks the row.
func (s *Store) lockProvider(ctx context.Context, tx pgx.Tx, organizationID, id string) (OrganizationProvider, error) {
	p, err := postgres.TxOne(ctx, tx, scanProvider,
		"SELECT "+providerColumns+" FROM identity_providers WHERE organization_id = $1 AND id = $2 FOR UPDATE", organizationID, id)
	return p, postgres.NotFound(err, kindProvider)
}

// countProviders returns the number of an organization's providers.
func (s *Store) countProviders(ctx context.Context, tx pgx.Tx, organizationID string) (int, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[int], "SELECT count(*) FROM identity_providers WHERE organization_id = $1", organizationID)
}

func (s *Store) insertProvider(ctx context.Context, tx pgx.Tx, p OrganizationProvider) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO identity_providers
		(organization_id, id, display_name, issuer, client_id, sealed_secret, domains, role, revision, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		p.OrganizationID, p.ID, p.DisplayName, p.Issuer, p.ClientID, p.sealed, p.Domains, p.Role, p.Revision, p.CreateTime, p.UpdateTime)
	return err
}

func (s *Store) saveProvider(ctx context.Context, tx pgx.Tx, p OrganizationProvider) error {
	_, err := postgres.TxExec(ctx, tx, `UPDATE identity_providers SET display_name = $3, issuer = $4, client_id = $5, sealed_secret = $6,
		domains = $7, role = $8, revision = $9, updated_at = $10 WHERE organization_id = $1 AND id = $2`,
		p.OrganizationID, p.ID, p.DisplayName, p.Issuer, p.ClientID, p.sealed, p.Domains, p.Role, p.Revision, p.UpdateTime)
	return err
}

// removeProvider removes a provider of an organization, with the identities at it.
func (s *Store) removeProvider(ctx context.Context, tx pgx.Tx, organizationID, id string) error {
	if _, err := postgres.TxExec(ctx, tx, "SELECT forget_identities($1)", id); err != nil {
		return err
	}
	_, err := postgres.TxExec(ctx, tx, "DELETE FROM identity_providers WHERE organization_id = $1 AND id = $2", organizationID, id)
	return err
}

// listProviders returns a page of an organization's providers.
func (s *Store) listProviders(ctx context.Context, organizationID string, req paging.Request) ([]OrganizationProvider, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, paging.Query[OrganizationProvider]{
		List: providers, Tokens: s.tokens, Request: req,
		SQL: "SELECT " + providerColumns + " FROM identity_providers WHERE organization_id = $1", Args: []any{organizationID}, Scan: scanProvider,
	})
}
