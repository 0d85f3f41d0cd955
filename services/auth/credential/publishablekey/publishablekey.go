// Package publishablekey is the room of the keys that web pages contain.
//
// A publishable key tells the public app to which organization a page belongs. Anyone
// can read it there, so it gives access to nothing by itself. It stands for its
// organization only on pages of its origins, as browsers report them. Package
// platform/apikey has the format, and the lookup by services.
package publishablekey

import (
	"fmt"
	"strconv"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/origin"
	"github.com/gatehouse/gatehouse/platform/patch"
)

const (
	// resourceType is the name of a publishable key in the audit trail, and kind its
	// name in faults.
	resourceType, kind = "publishable_key", "publishable key"

	// maxPerOrganization is the number of publishable keys that an organization may
	// have.
	maxPerOrganization = 100
)

// Key is a publishable key.
type Key struct {
	OrganizationID, ID string
	// Key is the value in pages.
	Key         string
	DisplayName string
	// Origins are those of the pages that may contain the key.
	Origins                []string
	Disabled               bool
	Revision               int64
	CreateTime, UpdateTime time.Time
}

// Etag changes with each update.
func (k Key) Etag() string { return strconv.FormatInt(k.Revision, 36) }

// Validate checks what the contract cannot express.
func (k Key) Validate() error {
	if k.DisplayName == "" {
		return fault.Invalid("publishableKey.displayName", "must not be empty")
	}
	if len(k.Origins) == 0 {
		return fault.Invalid("publishableKey.origins", "must not be empty")
	}
	for i, o := range k.Origins {
		if !origin.Valid(o) {
			return fault.Invalid(fmt.Sprintf("publishableKey.origins[%d]", i), "must be exactly scheme://host[:port], as a browser sends it")
		}
	}
	return nil
}

// fields are the fields that clients can change, by their names in the contract.
var fields = patch.Fields[Key]{ //nolint:gochecknoglobals // a constant table
	"display_name": patch.At(func(k *Key) *string { return &k.DisplayName }),
	"origins":      patch.At(func(k *Key) *[]string { return &k.Origins }),
	"disabled":     patch.At(func(k *Key) *bool { return &k.Disabled }),
}

// Apply returns k with the fields of the mask set from the patch.
func (k Key) Apply(patch Key, mask []string) (Key, error) {
	after, err := fields.Apply(k, patch, mask)
	if err != nil {
		return k, err
	}
	return after, after.Validate()
}
