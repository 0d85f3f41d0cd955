package document

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// listing declares the filters and the order of a list of documents.
var listing = paging.List{ //nolint:gochecknoglobals // a constant table
	Name: "documents",
	ID:   "id",
	Fields: map[string]paging.Field{
		"title": {Column: "title", Type: paging.String, Filter: true, Order: true},
		"state": {
			Column: "state", Type: paging.Enum, Filter: true,
			Values: []string{string(Pending), string(Processing), string(Ready), string(Failed)},
		},
		"contentType": {Column: "content_type", Type: paging.String, Filter: true},
		"createTime":  {Column: "created_at", Type: paging.Time, Filter: true, Order: true},
		"updateTime":  {Column: "updated_at", Type: paging.Time, Filter: true, Order: true},
	},
	DefaultOrder: "createTime desc",
}

const columns = `organization_id::text, id::text, collection_id::text, title, content_type, size_bytes, state, progress,
	failure_reason, failure_message, revision, created_at, updated_at`

// store keeps documents in Postgres.
type store struct {
	db     *postgres.DB
	tokens *paging.Tokens
}

func scan(row pgx.CollectableRow) (Document, error) {
	var d Document
	err := row.Scan(&d.OrganizationID, &d.ID, &d.CollectionID, &d.Title, &d.ContentType, &d.SizeBytes, &d.State, &d.Progress,
		&d.FailureReason, &d.FailureMessage, &d.Revision, &d.CreateTime, &d.UpdateTime)
	return d, err
}

func (s *store) inTx(ctx context.Context, organizationID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{OrganizationID: organizationID}, fn)
}

// checkCollection refuses a collection that the organization does not have.
func (s *store) checkCollection(ctx context.Context, organizationID, id string) error {
	_, err := postgres.QueryOne(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, pgx.RowTo[int],
		"SELECT 1 FROM collections WHERE organization_id = $1 AND id = $2", organizationID, id)
	return postgres.NotFound(err, "collection")
}

// insert adds a document with its bytes. It returns NOT_FOUND when the collection was
// deleted since it was checked.
func (s *store) insert(ctx context.Context, tx pgx.Tx, d Document, content source) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO documents
		(organization_id, id, collection_id, title, content_type, size_bytes, state, revision, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		d.OrganizationID, d.ID, d.CollectionID, d.Title, d.ContentType, d.SizeBytes, string(d.State), d.Revision,
		d.CreateTime, d.UpdateTime)
	if name, ok := postgres.ViolatedConstraint(err); ok && name == "documents_collection" {
		return fault.NotFound("collection")
	}
	if err != nil {
		return err
	}
	return insertSource(ctx, tx, d, content)
}

// pieceSize is how many bytes of a document are in memory at once when it is stored or
// read. A statement uses two to three times the memory of its piece.
const pieceSize = 8 << 20

// insertSource stores the bytes in pieces. Most documents are one piece.
func insertSource(ctx context.Context, tx pgx.Tx, d Document, content source) error {
	statement := "INSERT INTO document_sources (organization_id, document_id, content) VALUES ($1, $2, $3)"
	piece := make([]byte, min(content.size, pieceSize))
	for at := 0; at == 0 || at < content.size; at += pieceSize {
		part := piece[:min(pieceSize, content.size-at)]
		if _, err := content.ReadAt(part, int64(at)); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("document: the upload cannot be read: %w", err)
		}
		if _, err := postgres.TxExec(ctx, tx, statement, d.OrganizationID, d.ID, part); err != nil {
			return err
		}
		statement = "UPDATE document_sources SET content = content || $3::bytea WHERE organization_id = $1 AND document_id = $2"
	}
	return nil
}

// get returns a document of an organization, or NOT_FOUND.
func (s *store) get(ctx context.Context, organizationID, id string) (Document, error) {
	d, err := postgres.QueryOne(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, scan,
		"SELECT "+columns+" FROM documents WHERE organization_id = $1 AND id = $2", organizationID, id)
	return d, postgres.NotFound(err, "document")
}

// text returns the extracted text. It reports false when there is none, or none yet.
func (s *store) text(ctx context.Context, organizationID, id string) (string, bool, error) {
	text, err := postgres.QueryOne(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, pgx.RowTo[string],
		"SELECT content FROM document_texts WHERE organization_id = $1 AND document_id = $2", organizationID, id)
	if errors.Is(err, postgres.ErrNoRows) {
		return "", false, nil
	}
	return text, err == nil, err
}

// remove deletes a document. Its bytes, text and chunks are deleted with it.
func (s *store) remove(ctx context.Context, tx pgx.Tx, organizationID, id string) error {
	n, err := postgres.TxExec(ctx, tx, "DELETE FROM documents WHERE organization_id = $1 AND id = $2", organizationID, id)
	if err == nil && n == 0 {
		return fault.NotFound("document")
	}
	return err
}

// list returns a page of the documents of a collection, and the token of the next page.
func (s *store) list(ctx context.Context, organizationID, collectionID string, req paging.Request) ([]Document, string, error) {
	if err := s.checkCollection(ctx, organizationID, collectionID); err != nil {
		return nil, "", err
	}
	return paging.Read(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, paging.Query[Document]{
		List: listing, Tokens: s.tokens, Request: req,
		SQL:  "SELECT " + columns + " FROM documents WHERE organization_id = $1 AND collection_id = $2",
		Args: []any{organizationID, collectionID}, Scan: scan,
	})
}
