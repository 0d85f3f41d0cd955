// Package account is the signed-in user's own account: who it is, and what its
// credential allows where it acts.
//
// Roles and permissions are those of the credential, since every service judges
// a call by them; a change of roles takes effect with the next refresh.
package account

import (
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// profile is a user and where it belongs.
type profile struct {
	user        user.User
	memberships []organization.Membership
}
