package erasure

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// list declares how the feed is ordered.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name:         "erasures",
	ID:           "id",
	Fields:       map[string]paging.Field{"time": {Column: "created_at", Type: paging.Time, Order: true}},
	DefaultOrder: "time",
}

// Store stores erasures in Postgres.
type Store struct {
	db     *postgres.DB
	tokens *paging.Tokens
	clock  clock.Clock
}

// NewStore returns a store.
func NewStore(db *postgres.DB, tokens *paging.Tokens, clk clock.Clock) *Store {
	return &Store{db: db, tokens: tokens, clock: clk}
}

// AddUser makes the other services erase a user's personal data, in the transaction in
// the user's scope that deletes the account. Organizations are added by the function
// that purges them.
func (s *Store) AddUser(ctx context.Context, tx pgx.Tx, userID string) error {
	_, err := postgres.TxExec(ctx, tx, "INSERT INTO erasures (id, of_user, created_at) VALUES ($1, $2, $3)",
		id.New(), userID, clock.Stamp(s.clock))
	return err
}

func scan(row pgx.CollectableRow) (erasure.Erasure, error) {
	var e erasure.Erasure
	err := row.Scan(&e.ID, &e.UserID, &e.OrganizationID, &e.Time)
	return e, err
}

func (s *Store) list(ctx context.Context, since time.Time, req paging.Request) ([]erasure.Erasure, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{}, paging.Query[erasure.Erasure]{
		List: list, Tokens: s.tokens, Request: req, Args: []any{since}, Scan: scan,
		SQL: `SELECT id::text, coalesce(of_user::text, ''), coalesce(of_organization::text, ''), created_at
			FROM erasures WHERE created_at >= $1`,
	})
}
