package key

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

const query = `SELECT id::text, kid, public_key, sealed_private, signs_at, created_at FROM signing_keys ORDER BY signs_at, id`

// Store stores signing keys in Postgres.
type Store struct{ db *postgres.DB }

// NewStore returns a store.
func NewStore(db *postgres.DB) *Store { return &Store{db: db} }

func scan(row pgx.CollectableRow) (Key, error) {
	var k Key
	err := row.Scan(&k.ID, &k.KID, (*[]byte)(&k.Public), &k.Sealed, &k.SignsAt, &k.CreateTime)
	return k, err
}

// list returns all keys in the order in which they sign.
func (s *Store) list(ctx context.Context) ([]Key, error) {
	return postgres.QueryAll(ctx, s.db, postgres.Scope{}, scan, query)
}

// change runs fn with all keys, while no other process changes them.
func (s *Store) change(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx, keys []Key) error) error {
	return s.db.InTx(ctx, postgres.Scope{}, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := postgres.TxExec(ctx, tx, "SELECT pg_advisory_xact_lock(hashtext('gatehouse auth signing keys'))"); err != nil {
			return err
		}
		keys, err := postgres.TxAll(ctx, tx, scan, query)
		if err != nil {
			return err
		}
		return fn(ctx, tx, keys)
	})
}

// insert adds a key.
func (s *Store) insert(ctx context.Context, tx pgx.Tx, k Key) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO signing_keys (id, kid, public_key, sealed_private, signs_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, k.ID, k.KID, []byte(k.Public), k.Sealed, k.SignsAt, k.CreateTime)
	return err
}

// signFrom sets when a key begins to sign.
func (s *Store) signFrom(ctx context.Context, tx pgx.Tx, id string, at time.Time) error {
	_, err := postgres.TxExec(ctx, tx, "UPDATE signing_keys SET signs_at = $2 WHERE id = $1", id, at)
	return err
}

// delete deletes keys.
func (s *Store) delete(ctx context.Context, tx pgx.Tx, ids []string) error {
	_, err := postgres.TxExec(ctx, tx, "DELETE FROM signing_keys WHERE id = ANY($1::text[]::uuid[])", ids)
	return err
}
