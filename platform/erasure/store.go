package erasure

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

// load returns the stored position in the feed, or the beginning when there is none.
func load(ctx context.Context, db *postgres.DB) (time.Time, error) {
	at, err := postgres.QueryOne(ctx, db, postgres.Scope{}, pgx.RowTo[time.Time], "SELECT followed_to FROM erasures_followed")
	if errors.Is(err, postgres.ErrNoRows) {
		return time.Unix(0, 0).Add(overlap), nil
	}
	return at, err
}

// save stores the position. It never moves the position back, because other processes of
// the service follow the same feed.
func save(ctx context.Context, db *postgres.DB, at time.Time) error {
	_, err := postgres.Exec(ctx, db, postgres.Scope{}, `INSERT INTO erasures_followed AS f (followed_to) VALUES ($1)
		ON CONFLICT (one) DO UPDATE SET followed_to = greatest(f.followed_to, excluded.followed_to)`, at)
	return err
}

// Table is a table of organizations' rows, with the key organization_id and id.
type Table struct {
	Name string
	// Batch is the number of rows that one statement deletes. It is smaller for tables
	// whose rows cascade to many others.
	Batch int64
}

// Organization deletes an organization's rows from tables, in their order.
func Organization(ctx context.Context, db *postgres.DB, organizationID string, tables ...Table) error {
	for _, t := range tables {
		name := pgx.Identifier{t.Name}.Sanitize()
		for n := t.Batch; n == t.Batch; {
			var err error
			if n, err = postgres.Exec(ctx, db, postgres.Scope{OrganizationID: organizationID}, "DELETE FROM "+name+
				" WHERE organization_id = $1 AND id IN (SELECT id FROM "+name+" WHERE organization_id = $1 LIMIT $2)",
				organizationID, t.Batch); err != nil {
				return err
			}
		}
	}
	return nil
}
