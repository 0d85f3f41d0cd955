package userdirectory

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// store reads users of every organization in Postgres.
type store struct{ db *postgres.DB }

// newStore returns a store.
func newStore(db *postgres.DB) *store { return &store{db: db} }

func scan(row pgx.CollectableRow) (*authv1.DirectoryUser, error) {
	u := &authv1.DirectoryUser{}
	err := row.Scan(&u.Id, &u.DisplayName, &u.Email, &u.EmailVerified, &u.Locale, &u.Disabled, &u.ServiceAccount)
	return u, err
}

// users returns the users that exist among those with the ids.
func (s *store) users(ctx context.Context, ids []string) ([]*authv1.DirectoryUser, error) {
	return postgres.QueryAll(ctx, s.db, postgres.Scope{}, scan,
		"SELECT id::text, display_name, email, email_verified, locale, disabled, service FROM directory_users($1::uuid[])", ids)
}
