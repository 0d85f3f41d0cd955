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

// permissionMembers is the permission to change members.
const permissionMembers = "members.write"

// Grant is the rights that roles give in an organization.
type Grant struct {
	// Roles are names of built-in roles and ids of custom ones.
	Roles []string
	// Permissions are those of all the roles together. For a caller, they are only
	// those that the credential may use.
	Permissions []string

	// user is set when the caller has no first-party session. It has the rights of the
	// user of the key or the client.
	user *Grant
	// claimed is set for a caller. It has the rights that the credential stated when it
	// was issued. The database may have changed since.
	claimed *Grant
}

// conflictIfLost returns a conflict instead of the refusal of a caller whose credential
// still states the right: the caller lost the right during the call, for example to the
// member who was about to be demoted.
func (g Grant) conflictIfLost(refusal error, check func(Grant) error) error {
	if refusal == nil || g.claimed == nil || check(*g.claimed) != nil {
		return refusal
	}
	return fault.New(faultv1.Reason_REASON_CONFLICT, "your own roles have changed since: read them again")
}

// narrowed returns the part of the user's rights that a caller may use. It is the one
// place that applies the scopes of a credential to stored rights.
func (g Grant) narrowed(p *identity.Principal) Grant {
	if p.FirstParty() {
		return g
	}
	return Grant{Roles: g.Roles, Permissions: authz.Within(p, g.Permissions), user: &g}
}

// Require refuses a caller without a permission. The refusal is CONFLICT when the
// caller lost the permission during the call.
func (g Grant) Require(permission string) error {
	return g.conflictIfLost(g.require(permission), func(claimed Grant) error { return claimed.require(permission) })
}

// require is [Grant.Require] without the conflict.
func (g Grant) require(permission string) error {
	switch {
	case slices.Contains(g.Permissions, permission):
		return nil
	case g.outOfScope(permission):
		return fault.New(faultv1.Reason_REASON_INSUFFICIENT_SCOPE, "the credential lacks the scope %s", permission)
	default:
		return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED, "your roles in this organization do not give the permission %s", permission)
	}
}

// Cover refuses rights that the holder of g may neither give nor revoke: a permission
// that g lacks, or a role above those of g, because owner and admin mean more than
// today's permissions. A key or an OAuth client may not give or revoke a role as high
// as its user's either, so that nobody becomes as powerful as the user through a leaked
// one. The refusal is CONFLICT when the caller lost the rights during the call.
func (g Grant) Cover(other Grant) error {
	return g.conflictIfLost(g.cover(other), func(claimed Grant) error { return claimed.cover(other) })
}

// cover is [Grant.Cover] without the conflict.
func (g Grant) cover(other Grant) error {
	for _, permission := range other.Permissions {
		switch {
		case slices.Contains(g.Permissions, permission):
		case g.outOfScope(permission):
			return fault.New(faultv1.Reason_REASON_INSUFFICIENT_SCOPE,
				"a credential cannot give or revoke a permission outside of its scopes: it lacks %s", permission)
		default:
			return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED,
				"you cannot give or revoke more than you have: you lack the permission %s", permission)
		}
	}
	if rank(other.Roles) > rank(g.Roles) {
		return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED, "a role above your own cannot be given or revoked")
	}
	if g.user != nil && other.reaches(*g.user) {
		return fault.New(faultv1.Reason_REASON_INSUFFICIENT_SCOPE,
			"sign in to give or revoke a role as high as your own: keys and other clients may not")
	}
	return nil
}

// outOfScope reports whether the user has a permission that the credential may not use.
func (g Grant) outOfScope(permission string) bool {
	return g.user != nil && slices.Contains(g.user.Permissions, permission)
}

// reaches reports whether g is as high as a user's rights, or higher.
func (g Grant) reaches(user Grant) bool {
	if mine, theirs := rank(g.Roles), rank(user.Roles); mine != theirs || mine > 0 {
		return mine >= theirs
	}
	return !slices.ContainsFunc(user.Permissions, func(p string) bool { return !slices.Contains(g.Permissions, p) })
}

// rank orders the roles: owner, admin, all others.
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

// CheckManage refuses a holder who may not change a member's rights from before to
// after. An empty after means that the member is removed.
func CheckManage(holder, before, after Grant) error {
	if err := holder.Require(permissionMembers); err != nil {
		return err
	}
	if err := holder.Cover(before); err != nil {
		return err
	}
	return holder.Cover(after)
}

// Rights returns the rights that roles give, according to the contracts and the
// organization's custom roles.
type Rights struct {
	store      *Store
	authorizer *authz.Authorizer
}

// NewRights returns the rights.
func NewRights(store *Store, authorizer *authz.Authorizer) *Rights {
	return &Rights{store: store, authorizer: authorizer}
}

// OfMember returns the rights of a member.
func (r *Rights) OfMember(m Member) Grant {
	return Grant{Roles: m.Roles, Permissions: r.authorizer.Permissions(m.Roles, m.Permissions)}
}

// OfCaller returns the rights that the caller may use in the organization in which the
// caller acts: the current rights in the database, not those of the token, within the
// scopes of the credential. It locks the memberships of the organization, in a
// transaction in the organization's scope.
func (r *Rights) OfCaller(ctx context.Context, tx postgres.Tx, p *identity.Principal) (Grant, error) {
	if err := r.store.Lock(ctx, tx, p.OrganizationID); err != nil {
		return Grant{}, err
	}
	m, err := r.store.Member(ctx, tx, p.OrganizationID, p.UserID)
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return Grant{}, fault.NotFound("organization") // removed since: no longer a member
	}
	held, claimed := r.OfMember(m).narrowed(p), r.claimed(p)
	held.claimed = &claimed
	return held, err
}

// claimed returns the rights in the organization that the caller's credential states.
func (r *Rights) claimed(p *identity.Principal) Grant {
	roles := slices.DeleteFunc(slices.Clone(p.Roles), func(role string) bool { return role == RoleOperator })
	return Grant{Roles: roles, Permissions: r.authorizer.Permissions(roles, p.Permissions)}.narrowed(p)
}

// OfRoles returns the rights that roles give in an organization, in a transaction in
// its scope. A role that the organization does not have is INVALID_ARGUMENT for that
// element of a field.
func (r *Rights) OfRoles(ctx context.Context, tx postgres.Tx, organizationID, field string, roles []string) (Grant, error) {
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
			return Grant{}, fault.Invalid(fmt.Sprintf("%s[%d]", field, i), "is not a role of this organization")
		}
	}
	return Grant{Roles: roles, Permissions: r.authorizer.Permissions(roles, permissions)}, nil
}

// OfRoleSets returns the rights that each list of roles gives in an organization, in a
// transaction in its scope. A role that the organization does not have gives nothing.
func (r *Rights) OfRoleSets(ctx context.Context, tx postgres.Tx, organizationID string, lists ...[]string) ([]Grant, error) {
	custom, err := r.store.customRoles(ctx, tx, organizationID, slices.Concat(lists...))
	if err != nil {
		return nil, err
	}
	out := make([]Grant, 0, len(lists))
	for _, roles := range lists {
		var permissions []string
		for _, role := range custom {
			if slices.Contains(roles, role.ID) {
				permissions = append(permissions, role.Permissions...)
			}
		}
		out = append(out, Grant{Roles: roles, Permissions: r.authorizer.Permissions(roles, permissions)})
	}
	return out, nil
}

// OfUsers returns the current rights of users in an organization, by user, in a
// transaction in the organization's scope. A user who is disabled, or no longer a
// member, has none.
func (r *Rights) OfUsers(ctx context.Context, tx postgres.Tx, organizationID string, userIDs []string) (map[string]Grant, error) {
	members, err := r.store.membersIn(ctx, tx, organizationID, userIDs)
	if err != nil {
		return nil, err
	}
	out := map[string]Grant{}
	for _, m := range members {
		if !m.User.Disabled {
			out[m.User.ID] = r.OfMember(m)
		}
	}
	return out, nil
}
