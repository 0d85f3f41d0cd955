package userdirectory

import (
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// encode returns a member, with the permissions of its roles, as the contract has it.
func encode(m organization.Member, permissions []string) *authv1.DirectoryMembership {
	return &authv1.DirectoryMembership{
		UserId: m.User.ID, Roles: m.Roles, Permissions: permissions, Disabled: m.User.Disabled, ServiceAccount: m.ServiceAccount,
	}
}
