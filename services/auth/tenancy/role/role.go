// Package role is the room of custom roles: named sets of permissions that an organization
// defines, beside the four built-in roles.
//
// The roles of members, invitations and service accounts contain a custom role by its id.
// Access tokens contain the permissions of custom roles (claim permissions), so that
// services can authorize a call without asking auth. Therefore a change of a role revokes the
// tokens of its holders. A caller cannot create, change or delete a role with more
// permissions than the caller has. No role has the permissions of operators.
package role

import (
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/patch"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// maxPerOrganization bounds the number of an organization's roles.
const maxPerOrganization = 100

// Role is a named set of permissions.
type Role struct {
	entity.Meta

	DisplayName string   `db:"display_name,patch"`
	Description string   `db:"description,patch"`
	Permissions []string `db:"permissions,patch"`
}

// kind declares how roles are stored, listed and changed.
var kind = entity.Kind[Role]{ //nolint:gochecknoglobals // a constant table
	Service: "auth", Type: "role",
	Table:  postgres.MustTable[Role]("roles"),
	Fields: patch.Of[Role](),
	List: paging.List{
		Name:         "roles",
		ID:           "id",
		Fields:       map[string]paging.Field{"createTime": {Column: "created_at", Type: paging.Time, Order: true}},
		DefaultOrder: "createTime",
	},
}

// Grant returns the rights that the role gives.
func (r Role) Grant() organization.Grant { return organization.Grant{Permissions: r.Permissions} }

// Validate checks what the contract cannot. grantable reports whether a role can have a
// permission.
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
			return fault.Invalid("role.permissions", "%q is not a permission that a role can have", permission)
		}
	}
	return nil
}

// Apply returns r with the fields of the mask taken from the patch.
func (r Role) Apply(patch Role, mask []string, grantable func(permission string) bool) (Role, error) {
	after, err := kind.Fields.Apply(r, patch, mask)
	if err != nil {
		return r, err
	}
	return after, after.Validate(grantable)
}
