package collection

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// store keeps collections in Postgres. No document is added to a collection whose row is
// locked, because a new document locks its collection too. Deleting a collection deletes
// its documents.
type store struct{ entity.Store[Collection] }

func newStore(db *postgres.DB, tokens *paging.Tokens) store {
	return store{entity.NewStore(db, tokens, kind)}
}

// countDocuments counts the documents of a collection whose row the transaction has
// locked. The count that is read with the lock can be older than the lock.
func (s store) countDocuments(ctx context.Context, tx pgx.Tx, c Collection) (int64, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[int64],
		"SELECT count(*) FROM documents WHERE organization_id = $1 AND collection_id = $2", c.OrganizationID, c.ID)
}

// missing returns those of the ids that name no collection of the scope's organization, in
// their order.
func (s store) missing(ctx context.Context, scope postgres.Scope, ids []string) ([]string, error) {
	return postgres.QueryAll(ctx, s.DB, scope, pgx.RowTo[string],
		`SELECT asked.id::text FROM unnest($2::text[]::uuid[]) WITH ORDINALITY AS asked(id, place) WHERE NOT EXISTS (
			SELECT FROM collections c WHERE c.organization_id = $1 AND c.id = asked.id) ORDER BY asked.place`, scope.OrganizationID, ids)
}
