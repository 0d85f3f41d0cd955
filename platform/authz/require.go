package authz

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Require returns nil when the caller in ctx may use a permission: a role of the caller
// has the permission, and the credential has the scope. A service uses it when a call
// accesses another resource than the one that its rule names. The fault is
// UNAUTHENTICATED, INSUFFICIENT_SCOPE or PERMISSION_DENIED, and names the permission.
func (a *Authorizer) Require(ctx context.Context, permission string) error {
	principal, ok := identity.FromContext(ctx)
	if !ok {
		return identity.Unauthenticated()
	}
	if err := scoped(principal, Rule{Permission: permission}); err != nil {
		return err
	}
	if a.has(principal, permission) {
		return nil
	}
	return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED,
		"your role in this organization does not have the permission %s", permission)
}
