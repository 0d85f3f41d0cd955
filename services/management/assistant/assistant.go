// Package assistant is the room of assistants, and the model of an entity's
// room: whoever adds an entity copies its first four files.
//
//	assistant.go   the type and its rules, without a database or an RPC
//	store.go       its queries; errors of the driver stop there
//	service.go     its RPCs: decode, call, encode
//	codec.go       between the type and its message
//	directory.go   what other services may ask and hear (few entities have it)
//	collections.go what is asked of another service (few entities have it)
//
// CONTRIBUTING.md tells the way from the contract to the running route.
package assistant

import (
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/patch"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// resourceType is what faults and the audit trail call an assistant.
const resourceType = "assistant"

// RestoreWindow is how long a deleted assistant can be restored.
const RestoreWindow = 30 * 24 * time.Hour

// Assistant says how an organization wants its questions answered.
type Assistant struct {
	OrganizationID string
	ID             string
	DisplayName    string
	Description    string
	Instructions   string
	Model          string
	Temperature    *float64
	CollectionIDs  []string
	Tools          []string
	Revision       int64
	CreateTime     time.Time
	UpdateTime     time.Time
	DeleteTime     *time.Time
}

// Etag changes with each update.
func (a Assistant) Etag() string { return strconv.FormatInt(a.Revision, 36) }

// Validate checks what the contract cannot say, since a patch need not hold
// every field.
func (a Assistant) Validate() error {
	if strings.TrimSpace(a.DisplayName) == "" {
		return fault.Invalid("assistant.displayName", "must not be empty")
	}
	return nil
}

// CheckRestore tells whether the assistant can be restored at a time.
func (a Assistant) CheckRestore(now time.Time) error {
	if a.DeleteTime == nil {
		return fault.New(faultv1.Reason_REASON_ALREADY_EXISTS, "the assistant is not deleted")
	}
	if now.Sub(*a.DeleteTime) > RestoreWindow {
		return fault.NotFound(resourceType)
	}
	return nil
}

// fields are those that a client may change, by their names in the contract.
var fields = patch.Fields[Assistant]{ //nolint:gochecknoglobals // a constant table
	"display_name":   patch.At(func(a *Assistant) *string { return &a.DisplayName }),
	"description":    patch.At(func(a *Assistant) *string { return &a.Description }),
	"instructions":   patch.At(func(a *Assistant) *string { return &a.Instructions }),
	"model":          patch.At(func(a *Assistant) *string { return &a.Model }),
	"temperature":    patch.At(func(a *Assistant) **float64 { return &a.Temperature }),
	"collection_ids": patch.At(func(a *Assistant) *[]string { return &a.CollectionIDs }),
	"tools":          patch.At(func(a *Assistant) *[]string { return &a.Tools }),
}

// Apply returns a with the fields of the mask taken from the patch.
func (a Assistant) Apply(patch Assistant, mask []string) (Assistant, error) {
	after, err := fields.Apply(a, patch, mask)
	if err != nil {
		return a, err
	}
	return after, after.Validate()
}
