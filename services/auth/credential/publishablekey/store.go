package publishablekey

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// store keeps publishable keys in Postgres.
type store struct{ entity.Store[Key] }

func newStore(db *postgres.DB, tokens *paging.Tokens) store {
	return store{entity.NewStore(db, tokens, kind)}
}

// count returns the number of an organization's keys. It locks the organization, so that no
// other transaction adds one.
func (s store) count(ctx context.Context, tx pgx.Tx, organizationID string) (int, error) {
	if _, err := postgres.TxExec(ctx, tx, "SELECT FROM organizations WHERE id = $1 FOR NO KEY UPDATE", organizationID); err != nil {
		return 0, err
	}
	return s.Count(ctx, tx, organizationID)
}

// resolve returns the owner of a key that a page of an origin contains.
func (s store) resolve(ctx context.Context, key, of string) (apikey.Publishable, error) {
	var allowed bool
	found, err := postgres.QueryOne(ctx, s.DB, postgres.Scope{}, func(row pgx.CollectableRow) (apikey.Publishable, error) {
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
