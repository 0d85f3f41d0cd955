// Package account is the room of the signed-in user's own account: the profile, what
// the credential allows, the password, and the deletion of the account.
//
// Roles and permissions are those of the credential, because every service checks a
// call by them. A change of roles takes effect with the next refresh.
package account

import (
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// profile is a user with the organizations to which the user belongs.
type profile struct {
	user        user.User
	memberships []organization.Membership
}
