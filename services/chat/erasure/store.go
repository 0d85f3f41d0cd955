// Package erasure erases what chat keeps of organizations and users that are gone
// (platform/erasure).
//
// Of an organization that is everything. Of a user it is the conversations, wherever
// they were held: they were the user's alone. Documents that the user brought into an
// organization are the organization's, and name nobody.
package erasure

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

const (
	// conversationsMost and documentsMost bound one statement: each takes its
	// messages, events or passages along.
	conversationsMost = 50
	documentsMost     = 20
	collectionsMost   = 500
)

// Store erases in Postgres.
type Store struct{ db *postgres.DB }

// NewStore returns a store.
func NewStore(db *postgres.DB) *Store { return &Store{db: db} }

// Erase removes what is left of what is gone.
func (s *Store) Erase(ctx context.Context, e erasure.Erasure) error {
	for n := int64(conversationsMost); n == conversationsMost; {
		var err error
		if n, err = postgres.QueryOne(ctx, s.db, postgres.Scope{}, pgx.RowTo[int64],
			"SELECT erase_conversations(nullif($1, '')::uuid, nullif($2, '')::uuid, $3)", e.OrganizationID, e.UserID, conversationsMost); err != nil {
			return err
		}
	}
	if e.OrganizationID == "" {
		return nil
	}
	return erasure.Organization(ctx, s.db, e.OrganizationID,
		erasure.Table{Name: "documents", Batch: documentsMost}, erasure.Table{Name: "collections", Batch: collectionsMost})
}
