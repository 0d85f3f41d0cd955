// Package organization is the room of organizations, the groups of users to which
// everything else belongs, and of their members.
//
// Every user has a personal organization from sign-up on. The roles of members give
// them permissions. Roles are built in or created by the organization (package role).
// Nobody gives or changes what exceeds their own rights ([Grant]), and an organization
// keeps at least one owner. An organization in which the caller does not act gets the
// same response as one that does not exist.
//
// A deleted organization is kept for a grace period ([Grace]). Its members still see it
// and an owner can restore it; otherwise it does not exist. It is then purged, and the
// other services erase what they store for it (package erasure).
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

// The built-in roles of a member.
const (
	RoleOwner  = "owner"
	RoleAdmin  = "admin"
	RoleMember = "member"
	RoleViewer = "viewer"
	// RoleOperator is not a role of a member. An operator's tokens have it in every
	// organization.
	RoleOperator = "operator"
)

// Organization is a group of users.
type Organization struct {
	ID          string `db:"id"`
	DisplayName string
	Personal    bool
	Revision    int64
	CreateTime  time.Time `db:"created_at"`
	UpdateTime  time.Time
	// DeleteTime and PurgeTime are nil unless the organization is deleted.
	DeleteTime, PurgeTime *time.Time
}

// Member is a user's membership in an organization.
type Member struct {
	OrganizationID string
	User           user.User
	// ServiceAccount reports whether the user is a service account (package
	// serviceaccount).
	ServiceAccount bool
	// Roles are names of built-in roles and ids of custom ones.
	Roles []string
	// Permissions are those of the custom roles.
	Permissions            []string
	CreateTime, UpdateTime time.Time
}

// Membership is an organization with a user's roles in it.
type Membership struct {
	OrganizationID, DisplayName string
	Roles                       []string
}

// losesOwner reports whether a change removes the owner's role from a member.
func losesOwner(before, after []string) bool {
	return slices.Contains(before, RoleOwner) && !slices.Contains(after, RoleOwner)
}

// TokenRoles returns the roles in a user's tokens.
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
