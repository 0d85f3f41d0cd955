// Package publishablekey is the room of publishable keys, which web pages contain.
//
// A publishable key identifies the organization of a page to the public app. Every visitor
// can read it, so it is no credential. It is valid only on pages of its origins, as browsers
// send them. Package platform/apikey defines its form.
package publishablekey

import (
	"fmt"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/origin"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/patch"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// maxPerOrganization bounds the number of an organization's publishable keys.
const maxPerOrganization = 100

// Key is a publishable key.
type Key struct {
	entity.Meta

	Key         string   `db:"key,fixed"`
	DisplayName string   `db:"display_name,patch"`
	Origins     []string `db:"origins,patch"` // those whose pages may contain the key
	Disabled    bool     `db:"disabled,patch"`
}

// kind declares how publishable keys are stored, listed and changed.
var kind = entity.Kind[Key]{ //nolint:gochecknoglobals // a constant table
	Service: "auth", Type: "publishable_key",
	Table:  postgres.MustTable[Key]("publishable_keys"),
	Fields: patch.Of[Key](),
	List: paging.List{
		Name:         "publishable keys",
		ID:           "id",
		Fields:       map[string]paging.Field{"createTime": {Column: "created_at", Type: paging.Time, Order: true}},
		DefaultOrder: "createTime",
	},
}

// Validate checks what the contract cannot.
func (k Key) Validate() error {
	if k.DisplayName == "" {
		return fault.Invalid("publishableKey.displayName", "must not be empty")
	}
	if len(k.Origins) == 0 {
		return fault.Invalid("publishableKey.origins", "must not be empty")
	}
	for i, o := range k.Origins {
		if !origin.Valid(o) {
			return fault.Invalid(fmt.Sprintf("publishableKey.origins[%d]", i), "must be exactly scheme://host[:port], as browsers send it")
		}
	}
	return nil
}

// Apply returns k with the fields of the mask taken from the patch.
func (k Key) Apply(patch Key, mask []string) (Key, error) {
	after, err := kind.Fields.Apply(k, patch, mask)
	if err != nil {
		return k, err
	}
	return after, after.Validate()
}
