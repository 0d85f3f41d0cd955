package export

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// store records exports.
type store struct {
	db    *postgres.DB
	trail *audit.Trail
}

// record adds an export to the audit trail.
func (s *store) record(ctx context.Context, scope postgres.Scope) error {
	return s.db.InTx(ctx, scope, func(ctx context.Context, tx pgx.Tx) error {
		return s.trail.Append(ctx, tx, audit.Event{
			OrganizationID: scope.OrganizationID, Action: "chat.user.exported", ResourceType: "user", ResourceID: scope.UserID,
		})
	})
}
