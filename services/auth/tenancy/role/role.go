// Package role is the room of custom roles: named sets of permissions that an
// organization creates, beside the four built-in roles.
//
// Members, invitations and service accounts refer to a custom role by its id. Tokens
// contain the permissions of roles (claim permissions), because services check a call
// without a lookup. So a change of a role revokes the tokens of everyone who has it.
// Nobody creates, changes or deletes a role that gives more than they have, and no role
// gives a permission of operators.
package role

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/patch"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

const (
	// resourceType is the name of a role in faults and in the audit trail.
	resourceType = "role"

	// maxPerOrganization is the number of roles that an organization may have.
	maxPerOrganization = 100
)

// Role is a named set of permissions.
type Role struct {
	OrganizationID, ID       string
	DisplayName, Description string
	Permissions              []string
	Revision                 int64
	CreateTime, UpdateTime   time.Time
}

// Etag changes with each update.
func (r Role) Etag() string { return strconv.FormatInt(r.Revision, 36) }

// Grant returns the rights that the role gives.
func (r Role) Grant() organization.Grant { return organization.Grant{Permissions: r.Permissions} }

// Validate checks what the contract cannot express. grantable reports whether a role
// can give a permission.
func (r Role) Validate(grantable func(permission string) bool) error {
	if r.DisplayName == "" {
		return fault.Invalid("role.displayName", "must not be empty")
	}
	for _, reserved := range []string{
		organization.RoleOwner, organization.RoleAdmin, organization.RoleMember, organization.RoleViewer, organization.RoleOperator,
	} {
		if strings.EqualFold(norm.NFKC.String(r.DisplayName), reserved) {
			return fault.Invalid("role.displayName", "is the name of a built-in role")
		}
	}
	if len(r.Permissions) == 0 {
		return fault.Invalid("role.permissions", "must not be empty")
	}
	for _, permission := range r.Permissions {
		if !grantable(permission) {
			return fault.Invalid("role.permissions", "%q is not a permission that a role can give", permission)
		}
	}
	return nil
}

// fields are the fields that clients can change, by their names in the contract.
var fields = patch.Fields[Role]{ //nolint:gochecknoglobals // a constant table
	"display_name": patch.At(func(r *Role) *string { return &r.DisplayName }),
	"description":  patch.At(func(r *Role) *string { return &r.Description }),
	"permissions":  patch.At(func(r *Role) *[]string { return &r.Permissions }),
}
