package assistant

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// store keeps assistants in Postgres.
type store struct{ entity.Store[Assistant] }

func newStore(db *postgres.DB, tokens *paging.Tokens) store {
	return store{entity.NewStore(db, tokens, kind)}
}

// Update writes an assistant back and announces it, as other services cache it.
func (s store) Update(ctx context.Context, tx pgx.Tx, a Assistant) error {
	if err := s.Store.Update(ctx, tx, a); err != nil {
		return err
	}
	return postgres.Notify(ctx, tx, Channel, a.ID)
}

// list returns a page of an organization's assistants. Deleted ones are among them when
// showDeleted is set.
func (s store) list(ctx context.Context, organizationID string, showDeleted bool, req paging.Request) ([]Assistant, string, error) {
	return s.Page(ctx, organizationID, req, "($2::boolean OR deleted_at IS NULL)", showDeleted)
}
