// Package sample is the room of samples.
package sample

import (
	"strings"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/patch"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Sample belongs to an organization.
type Sample struct {
	entity.Meta

	DisplayName string `db:"display_name,patch"`
	Description string `db:"description,patch"`
}

// kind declares how samples are stored, listed and changed.
var kind = entity.Kind[Sample]{ //nolint:gochecknoglobals // a constant table
	Service: "template", Type: "sample",
	Table:  postgres.MustTable[Sample]("samples"),
	Fields: patch.Of[Sample](),
	List: paging.List{
		Name: "samples",
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
func (s Sample) Validate() error {
	if strings.TrimSpace(s.DisplayName) == "" {
		return fault.Invalid("sample.displayName", "must not be empty")
	}
	return nil
}

// Apply returns s with the fields of the mask taken from the patch.
func (s Sample) Apply(patch Sample, mask []string) (Sample, error) {
	after, err := kind.Fields.Apply(s, patch, mask)
	if err != nil {
		return s, err
	}
	return after, after.Validate()
}
