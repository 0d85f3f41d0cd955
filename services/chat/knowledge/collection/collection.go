// Package collection is the room of collections: sets of documents that are
// searched together.
//
// A collection belongs to one organization. Its counts are taken from its
// documents when it is read, so they are never wrong; its etag changes with its
// own fields alone, not with what is put into it.
//
// One that holds documents is deleted only by force, and its documents go with
// it. Another organization's collection is answered exactly like an absent one.
package collection

import (
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/patch"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// resourceType is what faults and the audit trail call a collection.
const resourceType = "collection"

// Collection is a set of documents.
type Collection struct {
	OrganizationID string
	ID             string
	DisplayName    string
	Description    string
	DocumentCount  int32
	ChunkCount     int32
	Revision       int64
	CreateTime     time.Time
	UpdateTime     time.Time
}

// Etag changes with each update.
func (c Collection) Etag() string { return strconv.FormatInt(c.Revision, 36) }

// Validate checks what the contract cannot say, since a patch need not hold
// every field.
func (c Collection) Validate() error {
	if strings.TrimSpace(c.DisplayName) == "" {
		return fault.Invalid("collection.displayName", "must not be empty")
	}
	// Postgres cannot store the character in text.
	if strings.ContainsRune(c.DisplayName, 0) {
		return fault.Invalid("collection.displayName", "must not hold the character NUL")
	}
	if strings.ContainsRune(c.Description, 0) {
		return fault.Invalid("collection.description", "must not hold the character NUL")
	}
	return nil
}

// CheckDelete refuses to take documents along unless forced.
func CheckDelete(documents int64, force bool) error {
	if documents > 0 && !force {
		return fault.New(faultv1.Reason_REASON_NOT_EMPTY, "the collection holds %d documents", documents)
	}
	return nil
}

// fields are those that a client may change, by their names in the contract.
var fields = patch.Fields[Collection]{ //nolint:gochecknoglobals // a constant table
	"display_name": patch.At(func(c *Collection) *string { return &c.DisplayName }),
	"description":  patch.At(func(c *Collection) *string { return &c.Description }),
}

// Apply returns c with the fields of the mask taken from the patch.
func (c Collection) Apply(patch Collection, mask []string) (Collection, error) {
	after, err := fields.Apply(c, patch, mask)
	if err != nil {
		return c, err
	}
	return after, after.Validate()
}
