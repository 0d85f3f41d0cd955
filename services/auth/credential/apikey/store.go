package apikey

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// list declares how keys are ordered.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name:         "api keys",
	ID:           "id",
	Fields:       map[string]paging.Field{"createTime": {Column: "created_at", Type: paging.Time, Order: true}},
	DefaultOrder: "createTime desc",
}

const columns = `organization_id::text, id::text, user_id::text, display_name, prefix, scopes, created_at, expires_at, last_used_at`

// Store stores API keys in Postgres.
type Store struct {
	db     *postgres.DB
	tokens *paging.Tokens
	clock  clock.Clock
}

// NewStore returns a store.
func NewStore(db *postgres.DB, tokens *paging.Tokens, clk clock.Clock) *Store {
	return &Store{db: db, tokens: tokens, clock: clk}
}

func scan(row pgx.CollectableRow) (Key, error) {
	var k Key
	err := row.Scan(&k.OrganizationID, &k.ID, &k.UserID, &k.DisplayName, &k.Prefix, &k.Scopes, &k.CreateTime, &k.ExpireTime, &k.LastUsed)
	return k, err
}

func (s *Store) inTx(ctx context.Context, organizationID, userID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{OrganizationID: organizationID, UserID: userID}, fn)
}

// count returns the number of a user's keys, and locks the user so that concurrent
// creations wait.
func (s *Store) count(ctx context.Context, tx pgx.Tx, userID string) (int, error) {
	if _, err := postgres.TxExec(ctx, tx, "SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", userID); err != nil {
		return 0, err
	}
	return postgres.TxOne(ctx, tx, pgx.RowTo[int], "SELECT count(*) FROM api_keys WHERE user_id = $1", userID)
}

func (s *Store) insert(ctx context.Context, tx pgx.Tx, k Key, hash [sha256.Size]byte) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO api_keys
		(organization_id, id, user_id, display_name, prefix, secret_hash, scopes, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		k.OrganizationID, k.ID, k.UserID, k.DisplayName, k.Prefix, hash[:], k.Scopes, k.CreateTime, k.ExpireTime)
	return err
}

// rotate replaces a key's secret.
func (s *Store) rotate(ctx context.Context, tx pgx.Tx, userID, id, prefix string, hash [sha256.Size]byte) (Key, error) {
	k, err := postgres.TxOne(ctx, tx, scan, "UPDATE api_keys SET secret_hash = $3, prefix = $4 WHERE user_id = $1 AND id = $2 RETURNING "+columns,
		userID, id, hash[:], prefix)
	return k, postgres.NotFound(err, "API key")
}

func (s *Store) remove(ctx context.Context, tx pgx.Tx, userID, id string) (Key, error) {
	k, err := postgres.TxOne(ctx, tx, scan, "DELETE FROM api_keys WHERE user_id = $1 AND id = $2 RETURNING "+columns, userID, id)
	return k, postgres.NotFound(err, "API key")
}

func (s *Store) removeAll(ctx context.Context, tx pgx.Tx, userID string) ([]Key, error) {
	return postgres.TxAll(ctx, tx, scan, "DELETE FROM api_keys WHERE user_id = $1 RETURNING "+columns, userID)
}

// list returns a page of a user's keys.
func (s *Store) list(ctx context.Context, userID string, req paging.Request) ([]Key, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{UserID: userID}, paging.Query[Key]{
		List: list, Tokens: s.tokens, Request: req,
		SQL: "SELECT " + columns + " FROM api_keys WHERE user_id = $1", Args: []any{userID}, Scan: scan,
	})
}

// Resolve returns the key with a hash, for the service that checks a request.
func (s *Store) Resolve(ctx context.Context, hash [sha256.Size]byte) (apikey.Key, error) {
	k, err := postgres.QueryOne(ctx, s.db, postgres.Scope{}, func(row pgx.CollectableRow) (apikey.Key, error) {
		var k apikey.Key
		var operator bool
		err := row.Scan(&k.ID, &k.UserID, &k.OrganizationID, &k.Roles, &k.Permissions, &operator, &k.ServiceAccount, &k.Scopes)
		k.Roles = organization.TokenRoles(k.Roles, operator)
		return k, err
	}, `SELECT id::text, user_id::text, organization_id::text, roles, permissions, operator, service, scopes
		FROM resolve_api_key($1, $2)`, hash[:], s.now())
	if errors.Is(err, postgres.ErrNoRows) {
		return k, identity.Unauthenticated()
	}
	return k, err
}

func (s *Store) deleteExpired(ctx context.Context) error {
	_, err := postgres.Sweep(ctx, s.db, "delete_expired_api_keys", s.now().Add(-kept))
	return err
}

func (s *Store) now() time.Time { return clock.Stamp(s.clock) }
