// Package erasure erases what management keeps of organizations that are gone
// (platform/erasure). It keeps nothing that is a user's alone.
package erasure

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

const assistantsMost = 500

// Store erases in Postgres.
type Store struct{ db *postgres.DB }

// NewStore returns a store.
func NewStore(db *postgres.DB) *Store { return &Store{db: db} }

// Erase removes what is left of what is gone.
func (s *Store) Erase(ctx context.Context, e erasure.Erasure) error {
	if e.OrganizationID == "" {
		return nil
	}
	return erasure.Organization(ctx, s.db, e.OrganizationID, erasure.Table{Name: "assistants", Batch: assistantsMost})
}
