// Package people is the room in which operators manage the users of the whole
// installation.
//
// Whether the caller is an operator is asked of the database too: its policy shows
// users of every organization to an operator's scope alone (migration 0040). What is
// changed of a user is changed in that user's own scope, as the user itself would,
// and recorded in the organization where the user's sign-ins begin, with the operator
// as who did it.
package people

import (
	"slices"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/user"
)

const (
	resourceType  = "user"
	fieldDisabled = "disabled"
)

// apply returns u with the fields of the mask taken from the patch, and what changed.
func apply(u, patch user.User, mask []string) (user.User, map[string]audit.Change, error) {
	own := slices.DeleteFunc(slices.Clone(mask), func(path string) bool { return path == fieldDisabled })
	after, err := u.Apply(patch, own)
	if err != nil {
		return u, nil, err
	}
	changes := map[string]audit.Change{}
	if slices.Contains(mask, fieldDisabled) && patch.Disabled != u.Disabled {
		after.Disabled = patch.Disabled
		changes[fieldDisabled] = audit.Change{Before: u.Disabled, After: after.Disabled}
	}
	if after.DisplayName != u.DisplayName {
		changes["displayName"] = audit.Change{Before: u.DisplayName, After: after.DisplayName}
	}
	if after.Locale != u.Locale {
		changes["locale"] = audit.Change{Before: u.Locale, After: after.Locale}
	}
	return after, changes, nil
}

// oneself refuses what an operator must not do to its own account here.
func oneself(what string) error {
	return fault.New(faultv1.Reason_REASON_CONFLICT, "you cannot %s yourself here", what)
}
