package collection

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Check answers NOT_FOUND when one of the collections is absent or belongs to
// another organization than the scope's.
func (s *Service) Check(ctx context.Context, scope postgres.Scope, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	known, err := postgres.QueryOne(ctx, s.store.db, scope, pgx.RowTo[int],
		"SELECT count(*) FROM collections WHERE organization_id = $1 AND id = ANY($2::uuid[])", scope.OrganizationID, ids)
	if err != nil {
		return err
	}
	if known != len(ids) {
		return fault.NotFound("collection")
	}
	return nil
}
