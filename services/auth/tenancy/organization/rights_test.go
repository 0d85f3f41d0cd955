package organization_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

const allowed = faultv1.Reason_REASON_UNSPECIFIED

func TestGrant_Require_NeedsThePermission(t *testing.T) {
	t.Parallel()
	grant := organization.Grant{Permissions: []string{"roles.write"}}
	for permission, want := range map[string]faultv1.Reason{
		"roles.write": allowed,
		"roles.read":  faultv1.Reason_REASON_PERMISSION_DENIED,
		"":            faultv1.Reason_REASON_PERMISSION_DENIED,
	} {
		if got := fault.ReasonOf(grant.Require(permission)); got != want {
			t.Errorf("%q: %v, want %v", permission, got, want)
		}
	}
}

// S83: nobody gives or revokes more than they have.
func TestS83GrantCoversOnlyItsOwnRights(t *testing.T) {
	t.Parallel()
	owner, admin, member := []string{organization.RoleOwner}, []string{organization.RoleAdmin}, []string{organization.RoleMember}
	for _, tc := range []struct {
		name          string
		holder, other organization.Grant
		want          faultv1.Reason
	}{
		{"nothing", organization.Grant{}, organization.Grant{}, allowed},
		{"the same permissions", organization.Grant{Permissions: []string{"a", "b"}}, organization.Grant{Permissions: []string{"b", "a"}}, allowed},
		{"fewer permissions", organization.Grant{Permissions: []string{"a", "b"}}, organization.Grant{Permissions: []string{"b"}}, allowed},
		{"another permission", organization.Grant{Permissions: []string{"a"}}, organization.Grant{Permissions: []string{"b"}}, faultv1.Reason_REASON_PERMISSION_DENIED},
		{"a lower role", organization.Grant{Roles: owner}, organization.Grant{Roles: admin}, allowed},
		{"the same role", organization.Grant{Roles: admin}, organization.Grant{Roles: admin}, allowed},
		{"a higher role", organization.Grant{Roles: admin}, organization.Grant{Roles: owner}, faultv1.Reason_REASON_PERMISSION_DENIED},
		{"a higher role among others", organization.Grant{Roles: member}, organization.Grant{Roles: append(member[:1:1], admin...)}, faultv1.Reason_REASON_PERMISSION_DENIED},
		{"a custom role and the built-in ones below", organization.Grant{Roles: member}, organization.Grant{Roles: []string{"custom"}}, allowed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := fault.ReasonOf(tc.holder.Cover(tc.other)); got != tc.want {
				t.Errorf("Cover returned %v, want %v", got, tc.want)
			}
		})
	}
}

func TestCheckManage_EachSideMustBeCovered(t *testing.T) {
	t.Parallel()
	const write = "members.write"
	manager := organization.Grant{Roles: []string{organization.RoleAdmin}, Permissions: []string{write, "a"}}
	high := organization.Grant{Roles: []string{organization.RoleOwner}}
	for _, tc := range []struct {
		name          string
		holder        organization.Grant
		before, after organization.Grant
		want          faultv1.Reason
	}{
		{"both covered", manager, organization.Grant{Permissions: []string{"a"}}, organization.Grant{}, allowed},
		{"without members.write", organization.Grant{Permissions: []string{"a"}}, organization.Grant{}, organization.Grant{}, faultv1.Reason_REASON_PERMISSION_DENIED},
		{"the member has more", manager, high, organization.Grant{}, faultv1.Reason_REASON_PERMISSION_DENIED},
		{"the member would get more", manager, organization.Grant{}, high, faultv1.Reason_REASON_PERMISSION_DENIED},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := fault.ReasonOf(organization.CheckManage(tc.holder, tc.before, tc.after)); got != tc.want {
				t.Errorf("CheckManage returned %v, want %v", got, tc.want)
			}
		})
	}
}
