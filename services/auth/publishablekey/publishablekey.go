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
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/origin"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// resourceType is what the audit trail calls a publishable key.
	resourceType = "publishable_key"

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

// CheckEtag refuses a change that builds on another state than the present one.
// An empty etag builds on whatever stands.
func (k Key) CheckEtag(etag string) error {
	if etag != "" && etag != k.Etag() {
		return fault.New(faultv1.Reason_REASON_ETAG_MISMATCH, "the publishable key changed since it was read")
	}
	return nil
}

// Apply returns k with the fields of the mask taken from the patch.
func (k Key) Apply(patch Key, mask []string) (Key, error) {
	for _, path := range mask {
		switch path {
		case "display_name":
			k.DisplayName = patch.DisplayName
		case "origins":
			k.Origins = patch.Origins
		case "disabled":
			k.Disabled = patch.Disabled
		default:
			return k, fault.Invalid("updateMask", "%q is not a field that can be changed", path)
		}
	}
	return k, k.Validate()
}

// changes lists what differs, for the audit trail.
func changes(before, after Key) map[string]audit.Change {
	out := map[string]audit.Change{}
	if before.DisplayName != after.DisplayName {
		out["displayName"] = audit.Change{Before: before.DisplayName, After: after.DisplayName}
	}
	if !slices.Equal(before.Origins, after.Origins) {
		out["origins"] = audit.Change{Before: before.Origins, After: after.Origins}
	}
	if before.Disabled != after.Disabled {
		out["disabled"] = audit.Change{Before: before.Disabled, After: after.Disabled}
	}
	return out
}

func decode(in *authv1.PublishableKey) Key {
	return Key{ID: in.GetId(), DisplayName: strings.TrimSpace(in.GetDisplayName()), Origins: in.GetOrigins(), Disabled: in.GetDisabled()}
}

func encode(k Key) *authv1.PublishableKey {
	return &authv1.PublishableKey{
		Id: k.ID, DisplayName: k.DisplayName, Key: k.Key, Origins: k.Origins, Disabled: k.Disabled,
		CreateTime: timestamppb.New(k.CreateTime), UpdateTime: timestamppb.New(k.UpdateTime), Etag: k.Etag(),
	}
}

func reply(k Key, err error) (*authv1.PublishableKey, error) {
	if err != nil {
		return nil, err
	}
	return encode(k), nil
}
