package serviceaccount_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/serviceaccount"
)

func TestApply_EachRule_NamesTheField(t *testing.T) {
	t.Parallel()
	before := serviceaccount.ServiceAccount{DisplayName: "Nightly", Roles: []string{organization.RoleViewer}}
	for _, tc := range []struct {
		name, path string
		patch      serviceaccount.ServiceAccount
		field      string // empty: accepted
	}{
		{"disable", "disabled", serviceaccount.ServiceAccount{Disabled: true}, ""},
		{"another role", "roles", serviceaccount.ServiceAccount{Roles: []string{organization.RoleAdmin}}, ""},
		{"no name", "display_name", serviceaccount.ServiceAccount{}, "serviceAccount.displayName"},
		{"no role", "roles", serviceaccount.ServiceAccount{}, "serviceAccount.roles"},
		{"owner", "roles", serviceaccount.ServiceAccount{Roles: []string{organization.RoleMember, organization.RoleOwner}}, "serviceAccount.roles"},
		{"a field that clients may not set", "permissions", serviceaccount.ServiceAccount{}, "updateMask"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			after, err := before.Apply(tc.patch, []string{tc.path})
			if tc.field == "" {
				if err != nil || after.DisplayName != "Nightly" {
					t.Errorf("Apply returned %+v, %v", after, err)
				}
				return
			}
			if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != tc.field {
				t.Errorf("violations %v, want one on %s", v, tc.field)
			}
		})
	}
}
