// Package authz decides whether a caller may make a call.
//
// The rules are stated in the contracts, one per RPC (see
// proto/gatehouse/options/v1): anybody, any signed-in user, whoever holds a
// permission, or other services alone. [New] fails when any RPC of the linked
// contracts states none, so a service without rules never starts;
// [Authorizer.Authorize] denies an RPC that it does not know.
//
// Which role holds which permission is stated in the contracts too; what the
// custom roles of an organization give comes with the caller's credential. A role
// takes effect in the organization that the caller's token acts in; that the
// resource belongs to that organization is checked by the query that reads it,
// and by row level security behind it.
package authz

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/proto/catalog"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	optionsv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/options/v1"
)

// operator is the role that spans organizations.
const operator = "operator"

// Class is the class in which calls are counted for the limit on their caller.
type Class string

// The classes of calls.
const (
	ClassRead  Class = "read"
	ClassWrite Class = "write"
	ClassModel Class = "model"
)

// Rule is what the contract states of one RPC.
type Rule struct {
	// Public: anybody may call.
	Public bool
	// Internal: other services alone may call.
	Internal bool
	// Permission is what a user must hold; empty where being signed in is enough.
	Permission string
	// FirstParty: no API key and no other client's token may call.
	FirstParty bool
	// Scope is what an OAuth client's token must hold where no permission is asked
	// for; empty where no such token may call.
	Scope string
	// Class is the class in which calls are counted.
	Class Class
}

// Authorizer holds the rules of every RPC. It is immutable.
type Authorizer struct {
	rules       map[string]Rule
	permissions map[string][]string // role to permissions
	grantable   map[string]bool
}

// New reads the rules of all linked contracts. The error lists every RPC
// whose rule is absent or wrong.
func New() (*Authorizer, error) {
	if err := catalog.Check(); err != nil {
		return nil, fmt.Errorf("authz: %w", err)
	}
	a := &Authorizer{rules: map[string]Rule{}, permissions: map[string][]string{}, grantable: map[string]bool{}}
	for _, m := range catalog.Methods() {
		a.rules[m.FullMethod] = Rule{
			Public:     m.Access.GetPublic(),
			Internal:   m.Access.GetInternal(),
			Permission: m.Access.GetPermission(),
			FirstParty: m.Access.GetFirstParty(),
			Scope:      m.Access.GetScope(),
			Class:      classOf(m),
		}
	}
	for _, p := range catalog.Permissions() {
		for _, role := range p.GetRoles() {
			a.permissions[role] = append(a.permissions[role], p.GetName())
			if role != operator {
				a.grantable[p.GetName()] = true
			}
		}
	}
	return a, nil
}

func classOf(m catalog.Method) Class {
	if m.Access.GetCost() == optionsv1.Cost_COST_MODEL {
		return ClassModel
	}
	if m.ReadOnly() {
		return ClassRead
	}
	return ClassWrite
}

// Rule returns the rule of an RPC by its full method name.
func (a *Authorizer) Rule(fullMethod string) (Rule, bool) {
	r, ok := a.rules[fullMethod]
	return r, ok
}

// Grantable tells whether a role of an organization can give a permission: one
// that exists and is not the operators' alone.
func (a *Authorizer) Grantable(permission string) bool { return a.grantable[permission] }

// Permissions lists the permissions that roles give together, by name. Of the
// custom ones among them the caller says what they give; whatever that is, it is
// nothing that is the operators' alone.
func (a *Authorizer) Permissions(roles, custom []string) []string {
	out := slices.DeleteFunc(slices.Clone(custom), func(name string) bool { return !a.grantable[name] })
	for _, role := range roles {
		out = append(out, a.permissions[role]...)
	}
	sort.Strings(out)
	return slices.Compact(out)
}

// Authorize decides on a call by the caller in ctx: nil, or UNAUTHENTICATED
// where the rule wants a caller and there is none, or PERMISSION_DENIED.
func (a *Authorizer) Authorize(ctx context.Context, fullMethod string) error {
	rule, known := a.rules[fullMethod]
	if !known {
		return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED, "no rule allows this call")
	}
	if rule.Public {
		return nil
	}
	if rule.Internal {
		if _, ok := identity.ServiceFromContext(ctx); !ok {
			return identity.Unauthenticated()
		}
		return nil
	}
	principal, ok := identity.FromContext(ctx)
	if !ok {
		return identity.Unauthenticated()
	}
	if err := scoped(principal, rule); err != nil {
		return err
	}
	if rule.Permission == "" || a.holds(principal, rule.Permission) {
		return nil
	}
	return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED,
		"your role in this organization does not hold the permission %s", rule.Permission)
}

// scoped refuses what a client or a key may not do, whatever its user may.
func scoped(p *identity.Principal, rule Rule) error {
	switch {
	case p.FirstParty():
		return nil
	case rule.FirstParty:
		return fault.New(faultv1.Reason_REASON_INSUFFICIENT_SCOPE, "sign in to do this: no key and no other client may")
	case rule.Permission != "" && !slices.Contains(p.Scopes, rule.Permission):
		return fault.New(faultv1.Reason_REASON_INSUFFICIENT_SCOPE, "the credential lacks the scope %s", rule.Permission)
	case rule.Permission == "" && p.Delegated() && !slices.Contains(p.Scopes, rule.Scope):
		return fault.New(faultv1.Reason_REASON_INSUFFICIENT_SCOPE, "the credential lacks the scope for this")
	default:
		return nil
	}
}

// Allowed lists the permissions that a caller may use now, by name.
func (a *Authorizer) Allowed(p *identity.Principal) []string {
	return Within(p, a.Permissions(p.Roles, p.Permissions))
}

// Within returns those of some permissions that a caller's credential may use: all of
// them in a first-party session, otherwise those among its scopes. Code that reads
// the rights of a caller from a database must pass them through Within, because a key
// or an OAuth client may do less than the user that it acts for.
func Within(p *identity.Principal, permissions []string) []string {
	if p.FirstParty() {
		return permissions
	}
	return slices.DeleteFunc(slices.Clone(permissions), func(name string) bool { return !slices.Contains(p.Scopes, name) })
}

func (a *Authorizer) holds(p *identity.Principal, permission string) bool {
	for _, role := range p.Roles {
		if slices.Contains(a.permissions[role], permission) {
			return true
		}
	}
	return a.grantable[permission] && slices.Contains(p.Permissions, permission)
}
