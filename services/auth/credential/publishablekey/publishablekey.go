// Package publishablekey is the room of the keys that stand in web pages.
//
// A publishable key tells the public app which organization a page belongs to.
// Everybody reads it there, so it opens nothing by itself: it stands for its
// organization on the pages of its origins alone, as browsers say them, and is no
// credential to anything else. Package platform/apikey has its form, and how
// services find out what one stands for.
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
	// resourceType is what the audit trail calls a publishable key, kind what faults do.
	resourceType, kind = "publishable_key", "publishable key"

	// maxPerOrganization bounds how many publishable keys an organization has.
	maxPerOrganization = 100
)

// Key is a publishable key.
type Key struct {
	OrganizationID, ID string
	// Key is what stands in pages.
	Key         string
	DisplayName string
	// Origins are those whose pages may show the key.
	Origins                []string
	Disabled               bool
	Revision               int64
	CreateTime, UpdateTime time.Time
}

// Etag changes with each update.
func (k Key) Etag() string { return strconv.FormatInt(k.Revision, 36) }

// Validate checks what the contract cannot say.
func (k Key) Validate() error {
	if k.DisplayName == "" {
		return fault.Invalid("publishableKey.displayName", "must not be empty")
	}
	if len(k.Origins) == 0 {
		return fault.Invalid("publishableKey.origins", "must not be empty")
	}
	for i, o := range k.Origins {
		if !origin.Valid(o) {
			return fault.Invalid(fmt.Sprintf("publishableKey.origins[%d]", i), "must be exactly scheme://host[:port], as a browser says it")
		}
	}
	return nil
}

// fields are those that a client may change, by their names in the contract.
var fields = patch.Fields[Key]{ //nolint:gochecknoglobals // a constant table
	"display_name": patch.At(func(k *Key) *string { return &k.DisplayName }),
	"origins":      patch.At(func(k *Key) *[]string { return &k.Origins }),
	"disabled":     patch.At(func(k *Key) *bool { return &k.Disabled }),
}

// Apply returns k with the fields of the mask taken from the patch.
func (k Key) Apply(patch Key, mask []string) (Key, error) {
	after, err := fields.Apply(k, patch, mask)
	if err != nil {
		return k, err
	}
	return after, after.Validate()
}
