package useradmin

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

// list declares how users are filtered and ordered.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name: "users",
	ID:   "id",
	Fields: map[string]paging.Field{
		"email":         {Column: "email_normalized", Type: paging.String, Filter: true, Order: true},
		"displayName":   {Column: "display_name", Type: paging.String, Filter: true, Order: true},
		"emailVerified": {Column: "email_verified", Type: paging.Bool, Filter: true},
		"disabled":      {Column: "disabled", Type: paging.Bool, Filter: true},
		"createTime":    {Column: "created_at", Type: paging.Time, Filter: true, Order: true},
		"updateTime":    {Column: "updated_at", Type: paging.Time, Filter: true, Order: true},
	},
	DefaultOrder: "createTime desc",
}

// selectUsers leaves out service accounts and deleted users.
const selectUsers = `SELECT id::text, email, email_verified, display_name, locale, disabled, revision, created_at, updated_at
	FROM users WHERE kind = 'person' AND deleted_at IS NULL`

// store reads users in Postgres.
type store struct {
	db     *postgres.DB
	tokens *paging.Tokens
}

// newStore returns a store.
func newStore(db *postgres.DB, tokens *paging.Tokens) *store { return &store{db: db, tokens: tokens} }

func scan(row pgx.CollectableRow) (user.User, error) {
	var u user.User
	err := row.Scan(&u.ID, &u.Email, &u.EmailVerified, &u.DisplayName, &u.Locale, &u.Disabled, &u.Revision, &u.CreateTime, &u.UpdateTime)
	return u, err
}

// list returns a page of the users that an operator may read.
func (s *store) list(ctx context.Context, operatorID string, req paging.Request) ([]user.User, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{UserID: operatorID}, paging.Query[user.User]{
		List: list, Tokens: s.tokens, Request: req, SQL: selectUsers, Scan: scan,
		Value: func(u user.User, field string) any {
			switch field {
			case "email":
				return user.NormalizeEmail(u.Email)
			case "displayName":
				return u.DisplayName
			case "createTime":
				return u.CreateTime
			case "updateTime":
				return u.UpdateTime
			default:
				return u.ID
			}
		},
	})
}

// get returns a user that an operator may read, or NOT_FOUND.
func (s *store) get(ctx context.Context, operatorID, id string) (user.User, error) {
	u, err := postgres.QueryOne(ctx, s.db, postgres.Scope{UserID: operatorID}, scan, selectUsers+" AND id = $1", id)
	return u, postgres.NotFound(err, resourceType)
}
