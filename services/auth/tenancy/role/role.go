// Package role is the room of the roles that organizations make themselves: named
// sets of permissions, beside the four built-in ones.
//
// Members, invitations and service accounts hold a custom role by its id among
// their roles. What it gives stands in the token (claim permissions), as services
// judge a call without asking; so a change takes the force from the tokens of
// those who hold the role. Nobody makes, changes or deletes a role that gives more
// than they hold, and none gives what is the operators' alone.
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
	// resourceType is what faults and the audit trail call a role.
	resourceType = "role"

	// maxPerOrganization bounds how many roles an organization has.
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

// Grant is what the role gives.
func (r Role) Grant() organization.Grant { return organization.Grant{Permissions: r.Permissions} }

// Validate checks what the contract cannot say; grantable tells of a permission
// whether a role can give it.
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
			return fault.Invalid("role.permissions", "%q is no permission that a role can give", permission)
		}
	}
	return nil
}

// fields are those that a client may change, by their names in the contract.
var fields = patch.Fields[Role]{ //nolint:gochecknoglobals // a constant table
	"display_name": patch.At(func(r *Role) *string { return &r.DisplayName }),
	"description":  patch.At(func(r *Role) *string { return &r.Description }),
	"permissions":  patch.At(func(r *Role) *[]string { return &r.Permissions }),
}
