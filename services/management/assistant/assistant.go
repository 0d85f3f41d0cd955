// Package assistant is the room of assistants, and the model of an entity's
// room: whoever adds an entity copies its first four files.
//
//	assistant.go   the type and its rules, without a database or an RPC
//	store.go       its queries; errors of the driver stop there
//	service.go     its RPCs: decode, call, encode
//	codec.go       between the type and its message
//	directory.go   what other services may ask and hear (few entities have it)
//
// CONTRIBUTING.md tells the way from the contract to the running route.
package assistant

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/fault"
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

// CheckEtag refuses a change that builds on another state than the present
// one. An empty etag builds on whatever stands.
func (a Assistant) CheckEtag(etag string) error {
	if etag != "" && etag != a.Etag() {
		return fault.New(faultv1.Reason_REASON_ETAG_MISMATCH, "the assistant changed since it was read")
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

// property is one field that a client may change.
type property struct {
	copy func(to *Assistant, from Assistant)
	get  func(a Assistant) any
}

// properties are the fields that a client may change, by their names in the
// contract. What is not here, an update mask may not name.
var properties = map[string]property{ //nolint:gochecknoglobals // a constant table
	"display_name": {
		func(to *Assistant, from Assistant) { to.DisplayName = from.DisplayName },
		func(a Assistant) any { return a.DisplayName },
	},
	"description": {
		func(to *Assistant, from Assistant) { to.Description = from.Description },
		func(a Assistant) any { return a.Description },
	},
	"instructions": {
		func(to *Assistant, from Assistant) { to.Instructions = from.Instructions },
		func(a Assistant) any { return a.Instructions },
	},
	"model": {
		func(to *Assistant, from Assistant) { to.Model = from.Model },
		func(a Assistant) any { return a.Model },
	},
	"temperature": {
		func(to *Assistant, from Assistant) { to.Temperature = from.Temperature },
		func(a Assistant) any { return a.Temperature },
	},
	"collection_ids": {
		func(to *Assistant, from Assistant) { to.CollectionIDs = from.CollectionIDs },
		func(a Assistant) any { return a.CollectionIDs },
	},
	"tools": {
		func(to *Assistant, from Assistant) { to.Tools = from.Tools },
		func(a Assistant) any { return a.Tools },
	},
}

// Apply returns a with the fields of the mask taken from the patch.
func (a Assistant) Apply(patch Assistant, mask []string) (Assistant, error) {
	for _, path := range mask {
		field, ok := properties[path]
		if !ok {
			return a, fault.Invalid("updateMask", "%q is not a field that can be changed", path)
		}
		field.copy(&a, patch)
	}
	return a, a.Validate()
}

// Changes lists the fields of the mask that differ, for the audit trail.
func Changes(before, after Assistant, mask []string) map[string]audit.Change {
	out := map[string]audit.Change{}
	for _, path := range slices.Compact(slices.Sorted(slices.Values(mask))) {
		was, is := properties[path].get(before), properties[path].get(after)
		out[path] = audit.Change{Before: was, After: is}
	}
	return out
}
