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
	absent, err := postgres.QueryOne(ctx, s.store.db, scope, pgx.RowTo[bool],
		`SELECT EXISTS (SELECT FROM unnest($2::uuid[]) AS asked(id) WHERE NOT EXISTS (
			SELECT FROM collections c WHERE c.organization_id = $1 AND c.id = asked.id))`, scope.OrganizationID, ids)
	if err != nil {
		return err
	}
	if absent {
		return fault.NotFound(resourceType)
	}
	return nil
}
