// Package serviceaccount is the room of service accounts: programs that belong to an
// organization rather than to a person.
//
// A service account is a user of its own kind. It is a member of one organization, which
// gives it roles, and it has API keys (package apikey). It has no email address, no password
// and no factor, so it cannot sign in. It is not among the members that are listed or changed
// as people, and never an owner. Its keys have the rights of its roles and are deleted with
// it.
//
// A caller needs all rights of a service account to manage it. Otherwise the caller could
// create a key with more rights than its own.
package serviceaccount

import (
	"slices"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/patch"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

const (
	fieldRoles = "serviceAccount.roles"

	// maxPerOrganization bounds the number of an organization's service accounts.
	maxPerOrganization = 100
)

// ServiceAccount is a member of an organization that is a program.
type ServiceAccount struct {
	entity.Meta

	DisplayName string   `db:"display_name,patch"`
	Roles       []string `db:"roles,patch"`      // names of built-in roles and ids of custom roles
	Permissions []string `db:"permissions,read"` // those of the custom roles
	Disabled    bool     `db:"disabled,patch"`
}

// kind declares how service accounts are read, listed and changed. The store writes them, as
// each has a row in two tables.
var kind = entity.Kind[ServiceAccount]{ //nolint:gochecknoglobals // a constant table
	Service: "auth", Type: "service_account",
	Table:  postgres.MustTable[ServiceAccount]("service_accounts"),
	Fields: patch.Of[ServiceAccount](),
	List: paging.List{
		Name:         "service accounts",
		ID:           "id",
		Fields:       map[string]paging.Field{"createTime": {Column: "created_at", Type: paging.Time, Order: true}},
		DefaultOrder: "createTime",
	},
}

// member returns the account's membership.
func (a ServiceAccount) member() organization.Member {
	m := organization.Member{
		OrganizationID: a.OrganizationID, ServiceAccount: true, Roles: a.Roles, Permissions: a.Permissions,
		CreateTime: a.CreateTime, UpdateTime: a.UpdateTime,
	}
	m.User.ID = a.ID
	return m
}

// Validate checks what the contract cannot.
func (a ServiceAccount) Validate() error {
	if a.DisplayName == "" {
		return fault.Invalid("serviceAccount.displayName", "must not be empty")
	}
	if len(a.Roles) == 0 {
		return fault.Invalid(fieldRoles, "must not be empty")
	}
	if slices.Contains(a.Roles, organization.RoleOwner) {
		return fault.Invalid(fieldRoles, "must not contain owner: a service account cannot be an owner")
	}
	return nil
}

// Apply returns a with the fields of the mask taken from the patch.
func (a ServiceAccount) Apply(patch ServiceAccount, mask []string) (ServiceAccount, error) {
	after, err := kind.Fields.Apply(a, patch, mask)
	if err != nil {
		return a, err
	}
	return after, after.Validate()
}
