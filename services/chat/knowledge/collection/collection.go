// Package collection is the room of collections: sets of documents that are searched
// together.
//
// A collection belongs to one organization. For another organization it is absent. The
// numbers of its documents and chunks are counted when it is read, so they are always
// right. Its etag changes with its own fields only, not with its documents.
//
// A collection with documents is deleted only when the client forces it, and its documents
// are deleted with it.
package collection

import (
	"strings"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/patch"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Collection is a set of documents.
type Collection struct {
	entity.Meta

	DisplayName   string `db:"display_name,patch"`
	Description   string `db:"description,patch"`
	DocumentCount int32  `db:"document_count,read"`
	ChunkCount    int32  `db:"chunk_count,read"`
}

// kind declares how collections are stored, listed and changed.
var kind = entity.Kind[Collection]{ //nolint:gochecknoglobals // a constant table
	Service: "knowledge", Type: "collection", Brief: true,
	Table: postgres.MustTable[Collection]("collections",
		"document_count", `(SELECT count(*)::int FROM documents d
			WHERE d.organization_id = collections.organization_id AND d.collection_id = collections.id)`,
		"chunk_count", `(SELECT coalesce(sum(d.chunk_count), 0)::int FROM documents d
			WHERE d.organization_id = collections.organization_id AND d.collection_id = collections.id)`),
	Fields: patch.Of[Collection](),
	List: paging.List{
		Name: "collections",
		ID:   "id",
		Fields: map[string]paging.Field{
			"displayName": {Column: "display_name", Type: paging.String, Filter: true, Order: true},
			"createTime":  {Column: "created_at", Type: paging.Time, Filter: true, Order: true},
			"updateTime":  {Column: "updated_at", Type: paging.Time, Filter: true, Order: true},
		},
		DefaultOrder: "createTime desc",
	},
}

// Validate checks what the contract cannot, as a patch need not have every field.
func (c Collection) Validate() error {
	if strings.TrimSpace(c.DisplayName) == "" {
		return fault.Invalid("collection.displayName", "must not be empty")
	}
	// Postgres cannot store the character in text.
	if strings.ContainsRune(c.DisplayName, 0) {
		return fault.Invalid("collection.displayName", "must not contain the character NUL")
	}
	if strings.ContainsRune(c.Description, 0) {
		return fault.Invalid("collection.description", "must not contain the character NUL")
	}
	return nil
}

// CheckDelete refuses to delete a collection with documents, unless the client forces it.
func CheckDelete(documents int64, force bool) error {
	if documents > 0 && !force {
		return fault.New(faultv1.Reason_REASON_NOT_EMPTY, "the collection contains %d documents", documents)
	}
	return nil
}

// Apply returns c with the fields of the mask taken from the patch.
func (c Collection) Apply(patch Collection, mask []string) (Collection, error) {
	after, err := kind.Fields.Apply(c, patch, mask)
	if err != nil {
		return c, err
	}
	return after, after.Validate()
}
