package account

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/organization"
	"github.com/gatehouse/gatehouse/services/auth/user"
)

// Store reads what belongs to one user, whatever organization it acts in.
type Store struct {
	db            *postgres.DB
	users         *user.Store
	organizations *organization.Store
}

// NewStore returns a store.
func NewStore(db *postgres.DB, users *user.Store, organizations *organization.Store) *Store {
	return &Store{db: db, users: users, organizations: organizations}
}

// InTx runs fn in a transaction of a user.
func (s *Store) InTx(ctx context.Context, userID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{UserID: userID}, fn)
}
