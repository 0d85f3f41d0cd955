// Package serviceaccount is the room of the programs that belong to an
// organization rather than to a person.
//
// A service account is a user of another kind: a member of its one organization,
// by which it has roles, and the holder of API keys (package apikey). It has no
// address, no password and no factor, so that nothing signs it in; it is not among
// the members that are listed or changed as people, and never an owner. Its keys
// resolve like those of people: they follow its roles, and end with it.
//
// Whoever has to do with a service account holds what the account holds: otherwise
// a new key of a mightier account would be a way up.
package serviceaccount

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/organization"
)

const (
	// resourceType is what the audit trail calls a service account.
	resourceType = "service_account"

	fieldRoles = "serviceAccount.roles"

	// maxPerOrganization bounds how many service accounts an organization has.
	maxPerOrganization = 100
)

// ServiceAccount is a member of an organization that is a program.
type ServiceAccount struct {
	OrganizationID, ID string
	DisplayName        string
	// Roles are names of built-in roles and ids of custom ones.
	Roles []string
	// Permissions are those that the custom ones give.
	Permissions            []string
	Disabled               bool
	Revision               int64
	CreateTime, UpdateTime time.Time
}

// Etag changes with each update.
func (a ServiceAccount) Etag() string { return strconv.FormatInt(a.Revision, 36) }

// member is the account's membership.
func (a ServiceAccount) member() organization.Member {
	m := organization.Member{
		OrganizationID: a.OrganizationID, ServiceAccount: true, Roles: a.Roles, Permissions: a.Permissions,
		CreateTime: a.CreateTime, UpdateTime: a.UpdateTime,
	}
	m.User.ID = a.ID
	return m
}

// Validate checks what the contract cannot say.
func (a ServiceAccount) Validate() error {
	if a.DisplayName == "" {
		return fault.Invalid("serviceAccount.displayName", "must not be empty")
	}
	if len(a.Roles) == 0 {
		return fault.Invalid(fieldRoles, "must not be empty")
	}
	if slices.Contains(a.Roles, organization.RoleOwner) {
		return fault.Invalid(fieldRoles, "a service account is never an owner")
	}
	return nil
}

// CheckEtag refuses a change that builds on another state than the present one.
// An empty etag builds on whatever stands.
func (a ServiceAccount) CheckEtag(etag string) error {
	if etag != "" && etag != a.Etag() {
		return fault.New(faultv1.Reason_REASON_ETAG_MISMATCH, "the service account changed since it was read")
	}
	return nil
}

// Apply returns a with the fields of the mask taken from the patch.
func (a ServiceAccount) Apply(patch ServiceAccount, mask []string) (ServiceAccount, error) {
	for _, path := range mask {
		switch path {
		case "display_name":
			a.DisplayName = patch.DisplayName
		case "roles":
			a.Roles = patch.Roles
		case "disabled":
			a.Disabled = patch.Disabled
		default:
			return a, fault.Invalid("updateMask", "%q is not a field that can be changed", path)
		}
	}
	return a, a.Validate()
}

// changes lists what differs, for the audit trail.
func changes(before, after ServiceAccount) map[string]audit.Change {
	out := map[string]audit.Change{}
	if before.DisplayName != after.DisplayName {
		out["displayName"] = audit.Change{Before: before.DisplayName, After: after.DisplayName}
	}
	if !slices.Equal(before.Roles, after.Roles) {
		out["roles"] = audit.Change{Before: before.Roles, After: after.Roles}
	}
	if before.Disabled != after.Disabled {
		out["disabled"] = audit.Change{Before: before.Disabled, After: after.Disabled}
	}
	return out
}

func decode(in *authv1.ServiceAccount) ServiceAccount {
	return ServiceAccount{ID: in.GetId(), DisplayName: strings.TrimSpace(in.GetDisplayName()), Roles: in.GetRoles(), Disabled: in.GetDisabled()}
}

func encode(a ServiceAccount) *authv1.ServiceAccount {
	return &authv1.ServiceAccount{
		Id: a.ID, DisplayName: a.DisplayName, Roles: a.Roles, Disabled: a.Disabled,
		CreateTime: timestamppb.New(a.CreateTime), UpdateTime: timestamppb.New(a.UpdateTime), Etag: a.Etag(),
	}
}

func reply(a ServiceAccount, err error) (*authv1.ServiceAccount, error) {
	if err != nil {
		return nil, err
	}
	return encode(a), nil
}
