package document

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// insertBatch is how many chunks one statement stores.
const insertBatch = 200

// chunk is a part of a text with its headings and its vector, by which it is found.
type chunk struct {
	text       string
	headings   string
	start, end int
	vector     []float32
}

// indexStore has the writes of indexing. Each write has the expected state as a condition.
// So two executions of one job do not undo each other's work, and a deleted document stays
// deleted.
type indexStore struct{ db *postgres.DB }

// begin marks a document as being indexed. It reports false when there is nothing to do:
// the document was deleted or is already READY.
func (s *indexStore) begin(ctx context.Context, scope postgres.Scope, documentID string, now time.Time) (Document, bool, error) {
	d, err := postgres.QueryOne(ctx, s.db, scope, scan, `UPDATE documents SET
		state = 'PROCESSING', progress = 0, failure_reason = '', failure_message = '', revision = revision + 1, updated_at = $3
		WHERE organization_id = $1 AND id = $2 AND state <> 'READY'
		RETURNING `+columns, scope.OrganizationID, documentID, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return Document{}, false, nil
	}
	return d, err == nil, err
}

// source writes the bytes of a document to a writer, in pieces. It reports false when the
// document was deleted in the meantime.
func (s *indexStore) source(ctx context.Context, d Document, to io.Writer) (bool, error) {
	for at := int64(0); at == 0 || at < d.SizeBytes; at += pieceSize {
		piece, err := postgres.QueryOne(ctx, s.db, scopeOf(d), pgx.RowTo[[]byte],
			"SELECT substring(content FROM $3 FOR $4) FROM document_sources WHERE organization_id = $1 AND document_id = $2",
			d.OrganizationID, d.ID, int32(at+1), int32(pieceSize))
		if errors.Is(err, postgres.ErrNoRows) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if _, err := to.Write(piece); err != nil {
			return false, err
		}
	}
	return true, nil
}

// progress stores the progress of indexing. It reports false when the document no longer
// has to be indexed.
func (s *indexStore) progress(ctx context.Context, d Document, done float64, now time.Time) (bool, error) {
	n, err := postgres.Exec(ctx, s.db, scopeOf(d), `UPDATE documents SET progress = $3, revision = revision + 1, updated_at = $4
		WHERE organization_id = $1 AND id = $2 AND state = 'PROCESSING'`, d.OrganizationID, d.ID, done, now)
	return n > 0, err
}

// fail marks a document as FAILED, unless it is READY.
func (s *indexStore) fail(ctx context.Context, scope postgres.Scope, documentID, reason, message string, now time.Time) error {
	_, err := postgres.Exec(ctx, s.db, scope, `UPDATE documents SET
		state = 'FAILED', failure_reason = $3, failure_message = $4, revision = revision + 1, updated_at = $5
		WHERE organization_id = $1 AND id = $2 AND state <> 'READY'`, scope.OrganizationID, documentID, reason, message, now)
	return err
}

// sweepBatch bounds one statement of a sweep, so that it takes few locks.
const sweepBatch = 1000

// failAbandoned marks the documents as FAILED that have waited since before a time, in all
// organizations.
func (s *indexStore) failAbandoned(ctx context.Context, before, now time.Time, f *fault.Fault) error {
	for {
		n, err := postgres.QueryOne(ctx, s.db, postgres.Scope{}, pgx.RowTo[int64],
			"SELECT fail_abandoned_documents($1, $2, $3, $4, $5)", before, now, f.Name(), f.Detail(), sweepBatch)
		if err != nil || n < sweepBatch {
			return err
		}
	}
}

// finish stores text and chunks and makes the document READY, in one transaction.
func (s *indexStore) finish(ctx context.Context, d Document, text, embedder string, chunks []chunk, now time.Time) error {
	return s.db.InTx(ctx, scopeOf(d), func(ctx context.Context, tx pgx.Tx) error {
		// This is first, because it locks the row: of two executions, the second finds the
		// document READY.
		n, err := postgres.TxExec(ctx, tx, `UPDATE documents SET
			state = 'READY', progress = 1, failure_reason = '', failure_message = '', chunk_count = $3,
			revision = revision + 1, updated_at = $4
			WHERE organization_id = $1 AND id = $2 AND state <> 'READY'`, d.OrganizationID, d.ID, len(chunks), now)
		if err != nil || n == 0 {
			return err
		}
		_, err = postgres.TxExec(ctx, tx, "INSERT INTO document_texts (organization_id, document_id, content) VALUES ($1, $2, $3)",
			d.OrganizationID, d.ID, text)
		if err != nil {
			return err
		}
		for first := 0; first < len(chunks); first += insertBatch {
			batch := chunks[first:min(first+insertBatch, len(chunks))]
			if err := insertChunks(ctx, tx, d, embedder, first, batch); err != nil {
				return err
			}
		}
		return nil
	})
}

// insertChunks stores a batch in one statement. COPY does not work with row level
// security.
func insertChunks(ctx context.Context, tx pgx.Tx, d Document, embedder string, first int, batch []chunk) error {
	n := len(batch)
	ids, texts, headings, vectors := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	ordinals, starts, ends := make([]int32, n), make([]int32, n), make([]int32, n)
	for i, c := range batch {
		ids[i], texts[i], headings[i], vectors[i] = id.New(), c.text, c.headings, vectorText(c.vector)
		ordinals[i], starts[i], ends[i] = int32(first+i), int32(c.start), int32(c.end) //nolint:gosec // documents are bounded
	}
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO chunks
		(organization_id, collection_id, document_id, embedder, id, ordinal, start_offset, end_offset, text, headings, embedding)
		SELECT $1::uuid, $2::uuid, $3::uuid, $4::text, row.id, row.ordinal, row.starts, row.ends, row.text, row.headings, row.vector::vector
		FROM unnest($5::uuid[], $6::int[], $7::int[], $8::int[], $9::text[], $10::text[], $11::text[])
			AS row (id, ordinal, starts, ends, text, headings, vector)`,
		d.OrganizationID, d.CollectionID, d.ID, embedder, ids, ordinals, starts, ends, texts, headings, vectors)
	return err
}

// vectorText returns a vector in the form that pgvector reads.
func vectorText(v []float32) string {
	out := make([]byte, 0, 12*len(v)+2)
	out = append(out, '[')
	for i, x := range v {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendFloat(out, float64(x), 'g', -1, 32)
	}
	return string(append(out, ']'))
}

func scopeOf(d Document) postgres.Scope { return postgres.Scope{OrganizationID: d.OrganizationID} }
