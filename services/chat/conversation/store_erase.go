package conversation

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// eraseBatch is how many conversations one statement deletes. Their messages and events are
// deleted with them.
const eraseBatch = 50

// erase deletes the conversations of a user, in all organizations, or of an organization.
func (s *Store) erase(ctx context.Context, e erasure.Erasure) error {
	for {
		n, err := postgres.QueryOne(ctx, s.db, postgres.Scope{}, pgx.RowTo[int64],
			"SELECT erase_conversations(nullif($1, '')::uuid, nullif($2, '')::uuid, $3)", e.OrganizationID, e.UserID, eraseBatch)
		if err != nil || n < eraseBatch {
			return err
		}
	}
}
