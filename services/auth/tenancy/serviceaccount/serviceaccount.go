// Package serviceaccount is the room of service accounts: programs that belong to an
// organization rather than to a person.
//
// A service account is another kind of user. It is a member of its one organization,
// which gives it roles, and has API keys (package apikey). It has no address, no
// password and no factor, so it cannot sign in. It is not listed or changed as a member
// is, and is never an owner. Its keys work like those of users: they follow its roles,
// and are deleted with it.
//
// A caller must have at least the rights of the service account to manage it. Otherwise
// a new key of a more privileged account would raise the caller's rights.
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
	// resourceType is the name of a service account in the audit trail, and kind its
	// name in faults.
	resourceType, kind = "service_account", "service account"

	fieldRoles = "serviceAccount.roles"

	// maxPerOrganization is the number of service accounts that an organization may
	// have.
	maxPerOrganization = 100
)

// ServiceAccount is a member of an organization that is a program.
type ServiceAccount struct {
	OrganizationID, ID string
	DisplayName        string
	// Roles are names of built-in roles and ids of custom ones.
	Roles []string
	// Permissions are those of the custom roles.
	Permissions            []string
	Disabled               bool
	Revision               int64
	CreateTime, UpdateTime time.Time
}

// Etag changes with each update.
func (a ServiceAccount) Etag() string { return strconv.FormatInt(a.Revision, 36) }

// member returns the account's membership.
func (a ServiceAccount) member() organization.Member {
	m := organization.Member{
		OrganizationID: a.OrganizationID, ServiceAccount: true, Roles: a.Roles, Permissions: a.Permissions,
		CreateTime: a.CreateTime, UpdateTime: a.UpdateTime,
	}
	m.User.ID = a.ID
	return m
}

// Validate checks what the contract cannot express.
func (a ServiceAccount) Validate() error {
	if a.DisplayName == "" {
		return fault.Invalid("serviceAccount.displayName", "must not be empty")
	}
	if len(a.Roles) == 0 {
		return fault.Invalid(fieldRoles, "must not be empty")
	}
	if slices.Contains(a.Roles, organization.RoleOwner) {
		return fault.Invalid(fieldRoles, "a service account cannot be an owner")
	}
	return nil
}

// fields are the fields that clients can change, by their names in the contract.
var fields = patch.Fields[ServiceAccount]{ //nolint:gochecknoglobals // a constant table
	"display_name": patch.At(func(a *ServiceAccount) *string { return &a.DisplayName }),
	"roles":        patch.At(func(a *ServiceAccount) *[]string { return &a.Roles }),
	"disabled":     patch.At(func(a *ServiceAccount) *bool { return &a.Disabled }),
}

// Apply returns a with the fields of the mask set from the patch.
func (a ServiceAccount) Apply(patch ServiceAccount, mask []string) (ServiceAccount, error) {
	after, err := fields.Apply(a, patch, mask)
	if err != nil {
		return a, err
	}
	return after, after.Validate()
}
