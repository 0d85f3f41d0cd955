package collection

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Missing returns those of the ids that name no collection of the scope's
// organization, in their order.
func (s *Service) Missing(ctx context.Context, scope postgres.Scope, ids []string) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return postgres.QueryAll(ctx, s.store.db, scope, pgx.RowTo[string],
		`SELECT asked.id::text FROM unnest($2::text[]::uuid[]) WITH ORDINALITY AS asked(id, place) WHERE NOT EXISTS (
			SELECT FROM collections c WHERE c.organization_id = $1 AND c.id = asked.id) ORDER BY asked.place`, scope.OrganizationID, ids)
}
