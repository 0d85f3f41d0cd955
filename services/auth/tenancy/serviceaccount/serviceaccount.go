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
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/patch"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

const (
	// resourceType is what the audit trail calls a service account, kind what faults do.
	resourceType, kind = "service_account", "service account"

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

// fields are those that a client may change, by their names in the contract.
var fields = patch.Fields[ServiceAccount]{ //nolint:gochecknoglobals // a constant table
	"display_name": patch.At(func(a *ServiceAccount) *string { return &a.DisplayName }),
	"roles":        patch.At(func(a *ServiceAccount) *[]string { return &a.Roles }),
	"disabled":     patch.At(func(a *ServiceAccount) *bool { return &a.Disabled }),
}

// Apply returns a with the fields of the mask taken from the patch.
func (a ServiceAccount) Apply(patch ServiceAccount, mask []string) (ServiceAccount, error) {
	after, err := fields.Apply(a, patch, mask)
	if err != nil {
		return a, err
	}
	return after, after.Validate()
}
