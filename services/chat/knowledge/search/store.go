package search

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// store searches in Postgres.
type store struct{ db *postgres.DB }

func scan(row pgx.CollectableRow) (Hit, error) {
	var h Hit
	err := row.Scan(&h.DocumentID, &h.ChunkID, &h.Title, &h.Text, &h.StartOffset, &h.EndOffset,
		&h.Score, &h.VectorRank, &h.TextRank)
	return h, err
}

// search returns chunks, best first. The function searches only the organization of the
// transaction. Its results are then read with row level security.
func (s *store) search(ctx context.Context, q Query, vector []float32, embedder string) ([]Hit, error) {
	return postgres.QueryAll(ctx, s.db, postgres.Scope{OrganizationID: q.OrganizationID}, scan, `SELECT
		c.document_id::text, c.id::text, d.title, c.text, c.start_offset, c.end_offset, f.score, f.vector_rank, f.text_rank
		FROM search_chunks($2::text, $3::real[]::vector, $4::text, $5::uuid[], $6::int) f
		JOIN chunks c ON c.organization_id = $1::uuid AND c.id = f.chunk_id
		JOIN documents d ON d.organization_id = c.organization_id AND d.id = c.document_id
		ORDER BY f.score DESC, f.chunk_id`,
		q.OrganizationID, q.Text, vector, embedder, q.CollectionIDs, q.Limit)
}

// checkCollections refuses collections that the organization does not have.
func (s *store) checkCollections(ctx context.Context, organizationID string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	missing, err := postgres.QueryOne(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, pgx.RowTo[bool],
		`SELECT EXISTS (SELECT 1 FROM unnest($2::uuid[]) AS wanted (id)
		WHERE NOT EXISTS (SELECT 1 FROM collections c WHERE c.organization_id = $1::uuid AND c.id = wanted.id))`, organizationID, ids)
	if err == nil && missing {
		return fault.NotFound("collection")
	}
	return err
}
