// Package useradmin is the room in which operators manage the users of the whole
// installation.
//
// Whether the caller is an operator is asked of the database too: its policy shows
// users of every organization to an operator's scope alone (migration 0040). What is
// changed of a user is changed in that user's own scope, as the user itself would,
// and recorded in the organization where the user's sign-ins begin, with the operator
// as who did it.
package useradmin

import (
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/patch"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

const resourceType = "user"

// fields returns those that an operator may change: a user's own, and whether it may
// sign in.
func fields() patch.Fields[user.User] {
	out := user.Fields()
	out["disabled"] = patch.At(func(u *user.User) *bool { return &u.Disabled })
	return out
}

// apply returns u with the fields of the mask taken from the patch.
func apply(u, patch user.User, mask []string) (user.User, error) {
	after, err := fields().Apply(u, patch, mask)
	if err != nil {
		return u, err
	}
	return after, after.Validate()
}

// ownAccount refuses what an operator must not do to its own account here.
func ownAccount(what string) error {
	return fault.New(faultv1.Reason_REASON_CONFLICT, "you cannot %s yourself here", what)
}
