// Package authz decides whether a caller may make a call.
//
// The contracts contain the rules, one for each RPC (see proto/gatehouse/options/v1).
// A rule admits every client, every authenticated user, users with a permission, or only
// other services. [New] fails when an RPC of the linked contracts has no rule, so a
// service with such an RPC never starts. [Authorizer.Authorize] denies an RPC that it
// does not know.
//
// The contracts also list the permissions of each built-in role. The permissions of an
// organization's custom roles are part of the caller's credential. A role applies in the
// organization of the caller's token. The query that reads a resource checks that the
// resource belongs to this organization, and so does row level security.
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

// Rule is the access rule of one RPC.
type Rule struct {
	// Public admits every client, with or without a credential.
	Public bool
	// Internal admits only other services.
	Internal bool
	// Permission is the permission that a user needs. When it is empty, every
	// authenticated user may call.
	Permission string
	// FirstParty refuses API keys and the tokens of OAuth clients.
	FirstParty bool
	// Scope is the scope that the token of an OAuth client needs when Permission is
	// empty. When both are empty, no such token may call.
	Scope string
	// Class is the class in which calls are counted.
	Class Class
}

// Authorizer contains the rules of every RPC. It is immutable.
type Authorizer struct {
	rules       map[string]Rule
	permissions map[string][]string // role to permissions
	grantable   map[string]bool
}

// New reads the rules of all linked contracts. The error lists every RPC with a missing
// or invalid rule.
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

// Grantable reports whether a role of an organization may contain a permission: the
// permission exists, and is not reserved for operators.
func (a *Authorizer) Grantable(permission string) bool { return a.grantable[permission] }

// Permissions returns the permissions of built-in roles together with the permissions of
// custom roles, sorted by name. It ignores custom permissions that are reserved for
// operators.
func (a *Authorizer) Permissions(roles, custom []string) []string {
	out := slices.DeleteFunc(slices.Clone(custom), func(name string) bool { return !a.grantable[name] })
	for _, role := range roles {
		out = append(out, a.permissions[role]...)
	}
	sort.Strings(out)
	return slices.Compact(out)
}

// Authorize decides whether the caller in ctx may call an RPC. It returns nil,
// UNAUTHENTICATED when the rule needs a caller and there is none, INSUFFICIENT_SCOPE or
// PERMISSION_DENIED.
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
	if rule.Permission == "" || a.has(principal, rule.Permission) {
		return nil
	}
	return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED,
		"your role in this organization does not have the permission %s", rule.Permission)
}

// scoped refuses a call that is outside the scopes of an OAuth client or an API key,
// whatever the rights of its user are.
func scoped(p *identity.Principal, rule Rule) error {
	switch {
	case p.FirstParty():
		return nil
	case rule.FirstParty:
		return fault.New(faultv1.Reason_REASON_INSUFFICIENT_SCOPE, "sign in to do this: API keys and OAuth clients may not")
	case rule.Permission != "" && !slices.Contains(p.Scopes, rule.Permission):
		return fault.New(faultv1.Reason_REASON_INSUFFICIENT_SCOPE, "the credential lacks the scope %s", rule.Permission)
	case rule.Permission == "" && p.Delegated() && !slices.Contains(p.Scopes, rule.Scope):
		return fault.New(faultv1.Reason_REASON_INSUFFICIENT_SCOPE, "the credential lacks the scope for this")
	default:
		return nil
	}
}

// Allowed returns the permissions that a caller may use, sorted by name.
func (a *Authorizer) Allowed(p *identity.Principal) []string {
	return Within(p, a.Permissions(p.Roles, p.Permissions))
}

// Within returns the permissions that a caller's credential may use: all of them in a
// first-party session, otherwise those among its scopes. Code that reads the rights of a
// caller from a database must filter them with Within, because a key or an OAuth client
// may have fewer rights than its user.
func Within(p *identity.Principal, permissions []string) []string {
	if p.FirstParty() {
		return permissions
	}
	return slices.DeleteFunc(slices.Clone(permissions), func(name string) bool { return !slices.Contains(p.Scopes, name) })
}

func (a *Authorizer) has(p *identity.Principal, permission string) bool {
	for _, role := range p.Roles {
		if slices.Contains(a.permissions[role], permission) {
			return true
		}
	}
	return a.grantable[permission] && slices.Contains(p.Permissions, permission)
}
