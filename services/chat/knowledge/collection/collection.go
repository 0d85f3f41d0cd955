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
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

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

// CheckEtag refuses a change that builds on another state than the present
// one. An empty etag builds on whatever stands.
func (c Collection) CheckEtag(etag string) error {
	if etag != "" && etag != c.Etag() {
		return fault.New(faultv1.Reason_REASON_ETAG_MISMATCH, "the collection changed since it was read")
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

// properties are the fields that a client may change, by their names in the
// contract. What is not here, an update mask may not name.
var properties = map[string]func(c *Collection) *string{ //nolint:gochecknoglobals // a constant table
	"display_name": func(c *Collection) *string { return &c.DisplayName },
	"description":  func(c *Collection) *string { return &c.Description },
}

// Apply returns c with the fields of the mask taken from the patch. Without a
// mask it takes those that the patch fills.
func (c Collection) Apply(patch Collection, mask []string) (Collection, map[string]audit.Change, error) {
	if len(mask) == 0 {
		mask = filled(patch)
	}
	changes := map[string]audit.Change{}
	for _, path := range slices.Compact(slices.Sorted(slices.Values(mask))) {
		field, ok := properties[path]
		if !ok {
			return c, nil, fault.Invalid("updateMask", "%q is not a field that can be changed", path)
		}
		changes[path] = audit.Change{Before: *field(&c), After: *field(&patch)}
		*field(&c) = *field(&patch)
	}
	return c, changes, c.Validate()
}

func filled(patch Collection) []string {
	var mask []string
	for path, field := range properties {
		if *field(&patch) != "" {
			mask = append(mask, path)
		}
	}
	return mask
}
