// Package useradmin is the room in which operators manage the users of the whole
// installation.
//
// The database also checks that the caller is an operator: its policy lets only an
// operator's scope read users of every organization (migration 0040). A change of a
// user runs in that user's own scope, as a change by the user would. It is recorded in
// the organization in which the user's sessions start, with the operator as the actor.
package useradmin

import (
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/patch"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

const resourceType = "user"

// fields returns the fields that an operator may change: those that users may change
// themselves, and disabled.
func fields() patch.Fields[user.User] {
	out := user.Fields()
	out["disabled"] = patch.At(func(u *user.User) *bool { return &u.Disabled })
	return out
}

// apply returns u with the fields of the mask set from the patch.
func apply(u, patch user.User, mask []string) (user.User, error) {
	after, err := fields().Apply(u, patch, mask)
	if err != nil {
		return u, err
	}
	return after, after.Validate()
}

// ownAccount returns the refusal of an operator who would disable or delete the own
// account.
func ownAccount(what string) error {
	return fault.New(faultv1.Reason_REASON_CONFLICT, "you cannot %s yourself here", what)
}
