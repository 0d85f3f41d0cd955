package role_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/role"
)

func grantable(permission string) bool {
	return permission == "chat.read" || permission == "chat.write"
}

func TestValidate_EachRule_NamesTheField(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, displayName string
		permissions       []string
		field             string // empty: accepted
	}{
		{"a role", "Reader", []string{"chat.read"}, ""},
		{"two permissions", "Writer", []string{"chat.read", "chat.write"}, ""},
		{"no name", "", []string{"chat.read"}, "role.displayName"},
		{"the name of a built-in role", "owner", []string{"chat.read"}, "role.displayName"},
		{"in other letters", "OWNER", []string{"chat.read"}, "role.displayName"},
		{"in letters that look the same (NFKC)", "\uff4f\uff57\uff4e\uff45\uff52", []string{"chat.read"}, "role.displayName"},
		{"the operators' role", "Operator", []string{"chat.read"}, "role.displayName"},
		{"no permission", "Reader", nil, "role.permissions"},
		{"an operators' permission", "Reader", []string{"chat.read", "organizations.operate"}, "role.permissions"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := role.Role{DisplayName: tc.displayName, Permissions: tc.permissions}.Validate(grantable)
			if tc.field == "" {
				if err != nil {
					t.Errorf("Validate returned %v", err)
				}
				return
			}
			if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != tc.field {
				t.Errorf("violations %v, want one on %s", v, tc.field)
			}
		})
	}
}

func TestApply_Mask_ChangesOnlyItsFields(t *testing.T) {
	t.Parallel()
	before := role.Role{DisplayName: "Reader", Description: "old", Permissions: []string{"chat.read"}}
	after, err := before.Apply(role.Role{DisplayName: "ignored", Description: "new"}, []string{"description"}, grantable)
	if err != nil || after.DisplayName != "Reader" || after.Description != "new" || len(after.Permissions) != 1 {
		t.Errorf("Apply returned %+v, %v", after, err)
	}
	for path, field := range map[string]string{"id": "updateMask", "bogus": "updateMask", "permissions": "role.permissions", "display_name": "role.displayName"} {
		_, err := before.Apply(role.Role{}, []string{path}, grantable)
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != field {
			t.Errorf("%s: violations %v, want one on %s", path, v, field)
		}
	}
}
