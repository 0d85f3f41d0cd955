// Package organization is the group of users that owns everything else, and who
// belongs to it in which roles.
//
// Every user has a personal organization from sign-up on. What a member may do
// is said by its roles, which are built in or made by the organization (package
// role). Nobody hands out or touches what is above its own ([Grant]), and an
// organization keeps at least one owner. An organization that the caller does
// not act in is answered exactly as one that does not exist.
//
// A deleted organization stays for a grace ([Grace]): its members see it, an owner
// can take the deletion back, and otherwise it is as if it were gone. Then it is
// purged, and other services erase what they keep of it (package erasure).
package organization

import (
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

// Grace is how long a deleted organization can be restored.
const Grace = 30 * 24 * time.Hour

// Roles of a member.
const (
	RoleOwner  = "owner"
	RoleAdmin  = "admin"
	RoleMember = "member"
	RoleViewer = "viewer"
	// RoleOperator is no role of a member: a user's tokens hold it in every
	// organization.
	RoleOperator = "operator"
)

// Organization is a group of users.
type Organization struct {
	ID, DisplayName        string
	Personal               bool
	Revision               int64
	CreateTime, UpdateTime time.Time
	// DeleteTime and PurgeTime are nil while members act in it.
	DeleteTime, PurgeTime *time.Time
}

// Member is a user's membership in an organization.
type Member struct {
	OrganizationID string
	User           user.User
	// ServiceAccount says that the user is no person (package serviceaccount).
	ServiceAccount bool
	// Roles are names of built-in roles and ids of custom ones.
	Roles []string
	// Permissions are those that the custom ones give.
	Permissions            []string
	CreateTime, UpdateTime time.Time
}

// Membership is an organization with a user's roles in it.
type Membership struct {
	OrganizationID, DisplayName string
	Roles                       []string
}

// losesOwner tells whether a change takes the owner's role from a member.
func losesOwner(before, after []string) bool {
	return slices.Contains(before, RoleOwner) && !slices.Contains(after, RoleOwner)
}

// TokenRoles are the roles that a user's tokens hold.
func TokenRoles(roles []string, operator bool) []string {
	out := slices.Clone(roles)
	if operator {
		out = append(out, RoleOperator)
	}
	return out
}

func lastOwner() error {
	return fault.New(faultv1.Reason_REASON_LAST_OWNER, "an organization keeps at least one owner")
}

// Etag changes with each update.
func (o Organization) Etag() string { return strconv.FormatInt(o.Revision, 10) }
