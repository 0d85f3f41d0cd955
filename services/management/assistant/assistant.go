// Package assistant is the room of assistants: how an organization wants its questions
// answered.
//
// Beside the files that every room has it has two: directory.go serves assistants to other
// services, and collections.go checks the collections that an assistant names.
package assistant

import (
	"context"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/patch"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// RestoreWindow is how long a deleted assistant can be restored.
const RestoreWindow = 30 * 24 * time.Hour

// Assistant is the configuration of one assistant.
type Assistant struct {
	entity.Meta

	DisplayName   string     `db:"display_name,patch"`
	Description   string     `db:"description,patch"`
	Instructions  string     `db:"instructions,patch"`
	Model         string     `db:"model,patch"`
	Temperature   *float64   `db:"temperature,patch"`
	CollectionIDs []string   `db:"collection_ids,patch,cast:uuid[]"`
	Tools         []string   `db:"tools,patch"`
	DeleteTime    *time.Time `db:"deleted_at"`
}

// kind declares how assistants are stored, listed and changed.
var kind = entity.Kind[Assistant]{ //nolint:gochecknoglobals // a constant table
	Service: "management", Type: "assistant", Brief: true,
	Table:  postgres.MustTable[Assistant]("assistants"),
	Fields: patch.Of[Assistant](),
	List: paging.List{
		Name: "assistants",
		ID:   "id",
		Fields: map[string]paging.Field{
			"displayName": {Column: "display_name", Type: paging.String, Filter: true, Order: true},
			"model":       {Column: "model", Type: paging.String, Filter: true},
			"createTime":  {Column: "created_at", Type: paging.Time, Filter: true, Order: true},
			"updateTime":  {Column: "updated_at", Type: paging.Time, Filter: true, Order: true},
		},
		DefaultOrder: "createTime desc",
	},
}

// Validate checks what the contract cannot, as a patch need not hold every field.
func (a Assistant) Validate() error {
	if strings.TrimSpace(a.DisplayName) == "" {
		return fault.Invalid("assistant.displayName", "must not be empty")
	}
	return nil
}

// Apply returns a with the fields of the mask taken from the patch.
func (a Assistant) Apply(patch Assistant, mask []string) (Assistant, error) {
	after, err := kind.Fields.Apply(a, patch, mask)
	if err != nil {
		return a, err
	}
	return after, after.Validate()
}

// requireLive returns NOT_FOUND for a deleted assistant.
func requireLive(_ context.Context, _ postgres.Tx, a Assistant) error {
	if a.DeleteTime != nil {
		return fault.NotFound(kind.Noun())
	}
	return nil
}

// CheckRestore reports why the assistant cannot be restored at a time, if it cannot.
func (a Assistant) CheckRestore(now time.Time) error {
	if a.DeleteTime == nil {
		return fault.New(faultv1.Reason_REASON_ALREADY_EXISTS, "the assistant is not deleted")
	}
	if now.Sub(*a.DeleteTime) > RestoreWindow {
		return fault.NotFound(kind.Noun())
	}
	return nil
}
