package export

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Store writes down that something was exported.
type Store struct {
	db    *postgres.DB
	trail *audit.Trail
}

// NewStore returns a store.
func NewStore(db *postgres.DB, trail *audit.Trail) *Store { return &Store{db: db, trail: trail} }

func (s *Store) record(ctx context.Context, scope postgres.Scope) error {
	return s.db.InTx(ctx, scope, func(ctx context.Context, tx pgx.Tx) error {
		return s.trail.Append(ctx, tx, audit.Event{
			OrganizationID: scope.OrganizationID, Action: "chat.user.exported", ResourceType: "user", ResourceID: scope.UserID,
		})
	})
}
