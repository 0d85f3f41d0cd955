// Package sampleitem is the room of sample items.
package sampleitem

import (
	"strings"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/patch"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// SampleItem belongs to an organization.
type SampleItem struct {
	entity.Meta

	DisplayName string `db:"display_name,patch"`
	Description string `db:"description,patch"`
}

// kind declares how sample items are stored, listed and changed.
var kind = entity.Kind[SampleItem]{ //nolint:gochecknoglobals // a constant table
	Service: "template", Type: "sample_item",
	Table:  postgres.MustTable[SampleItem]("sample_items"),
	Fields: patch.Of[SampleItem](),
	List: paging.List{
		Name: "sample items",
		ID:   "id",
		Fields: map[string]paging.Field{
			"displayName": {Column: "display_name", Type: paging.String, Filter: true, Order: true},
			"createTime":  {Column: "created_at", Type: paging.Time, Filter: true, Order: true},
			"updateTime":  {Column: "updated_at", Type: paging.Time, Filter: true, Order: true},
		},
		DefaultOrder: "createTime desc",
	},
}

// Validate checks what the contract cannot, as a patch need not hold every field.
func (s SampleItem) Validate() error {
	if strings.TrimSpace(s.DisplayName) == "" {
		return fault.Invalid("sampleItem.displayName", "must not be empty")
	}
	return nil
}

// Apply returns s with the fields of the mask taken from the patch.
func (s SampleItem) Apply(patch SampleItem, mask []string) (SampleItem, error) {
	after, err := kind.Fields.Apply(s, patch, mask)
	if err != nil {
		return s, err
	}
	return after, after.Validate()
}
