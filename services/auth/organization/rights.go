package organization

import (
	"context"
	"fmt"
	"slices"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const permissionMembers = "members.write"

// Grant is what roles give in an organization.
type Grant struct {
	// Roles are names of built-in roles and ids of custom ones.
	Roles []string
	// Permissions are those that all the roles give together.
	Permissions []string
}

// Require refuses whoever does not hold a permission.
func (g Grant) Require(permission string) error {
	if !slices.Contains(g.Permissions, permission) {
		return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED, "your roles in this organization do not give the permission %s", permission)
	}
	return nil
}

// Cover refuses what the holder of g may neither give nor take: a permission that
// g lacks. Being owner or admin is more than the permissions of today.
func (g Grant) Cover(other Grant) error {
	for _, permission := range other.Permissions {
		if !slices.Contains(g.Permissions, permission) {
			return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED,
				"nobody gives or takes more than they hold: you lack the permission %s", permission)
		}
	}
	if rank(other.Roles) > rank(g.Roles) {
		return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED, "a role above your own cannot be given or taken")
	}
	return nil
}

func rank(roles []string) int {
	switch {
	case slices.Contains(roles, RoleOwner):
		return 2
	case slices.Contains(roles, RoleAdmin):
		return 1
	default:
		return 0
	}
}

// CheckManage says whether a holder may turn what a member has before into what
// it has after, where nothing after means removal.
func CheckManage(holder, before, after Grant) error {
	if err := holder.Require(permissionMembers); err != nil {
		return err
	}
	if err := holder.Cover(before); err != nil {
		return err
	}
	return holder.Cover(after)
}

// Rights knows what roles give, from the contracts and from the organization.
type Rights struct {
	store      *Store
	authorizer *authz.Authorizer
}

// NewRights returns the rights.
func NewRights(store *Store, authorizer *authz.Authorizer) *Rights {
	return &Rights{store: store, authorizer: authorizer}
}

// Held is what a member has.
func (r *Rights) Held(m Member) Grant {
	return Grant{Roles: m.Roles, Permissions: r.authorizer.Permissions(m.Roles, m.Permissions)}
}

// Caller is what the caller has in the organization that it acts in, as the
// database has it now rather than the token, which may be minutes old. It locks
// who belongs to the organization, in a transaction of it.
func (r *Rights) Caller(ctx context.Context, tx postgres.Tx, p *identity.Principal) (Grant, error) {
	if err := r.store.Lock(ctx, tx, p.OrganizationID); err != nil {
		return Grant{}, err
	}
	m, err := r.store.Member(ctx, tx, p.OrganizationID, p.UserID)
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return Grant{}, fault.NotFound("organization") // removed meanwhile: a stranger
	}
	return r.Held(m), err
}

// Of is what roles give in an organization, in a transaction of it. A role that
// the organization does not have is INVALID_ARGUMENT on that element of a field.
func (r *Rights) Of(ctx context.Context, tx postgres.Tx, organizationID, field string, roles []string) (Grant, error) {
	custom, err := r.store.customRoles(ctx, tx, organizationID, roles)
	if err != nil {
		return Grant{}, err
	}
	known, permissions := []string{RoleOwner, RoleAdmin, RoleMember, RoleViewer}, []string(nil)
	for _, role := range custom {
		known, permissions = append(known, role.ID), append(permissions, role.Permissions...)
	}
	for i, role := range roles {
		if !slices.Contains(known, role) {
			return Grant{}, fault.Invalid(fmt.Sprintf("%s[%d]", field, i), "is no role of this organization")
		}
	}
	return Grant{Roles: roles, Permissions: r.authorizer.Permissions(roles, permissions)}, nil
}
