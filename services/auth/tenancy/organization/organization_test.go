package organization_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

func TestS45CheckManage(t *testing.T) {
	t.Parallel()
	authorizer, err := authz.New()
	if err != nil {
		t.Fatal(err)
	}
	rights := organization.NewRights(nil, authorizer)
	// Custom roles.
	custom := map[string][]string{
		"clerk": {"members.write", "chat.read"}, "guest": {"chat.read"},
		"twin": rights.OfMember(organization.Member{Roles: []string{"owner"}}).Permissions, "root": {"organizations.operate"},
	}
	grant := func(roles []string) organization.Grant {
		m := organization.Member{Roles: roles}
		for _, role := range roles {
			m.Permissions = append(m.Permissions, custom[role]...)
		}
		return rights.OfMember(m)
	}
	for _, c := range []struct {
		holder, before, after []string
		allowed               bool
	}{
		{[]string{"owner"}, []string{"admin"}, []string{"owner"}, true},
		{[]string{"viewer", "owner"}, []string{"owner"}, nil, true},
		{[]string{"admin"}, []string{"admin"}, []string{"viewer"}, true},
		{[]string{"admin"}, []string{"member"}, []string{"viewer", "owner"}, false},
		{[]string{"admin"}, []string{"owner", "viewer"}, nil, false},
		{[]string{"member"}, []string{"viewer"}, nil, false},
		{[]string{"operator"}, []string{"viewer"}, nil, false},
		{nil, []string{"viewer"}, nil, false},
		{[]string{"admin"}, []string{"viewer"}, []string{"clerk"}, true},
		{[]string{"clerk"}, []string{"guest"}, []string{"clerk"}, true},
		{[]string{"clerk"}, []string{"guest"}, []string{"viewer"}, false}, // the viewer can read more
		{[]string{"clerk"}, []string{"viewer"}, nil, false},
		{[]string{"clerk", "member"}, []string{"guest"}, []string{"viewer"}, true},
		{[]string{"guest"}, []string{"guest"}, nil, false},
		{[]string{"twin"}, []string{"viewer"}, []string{"member"}, true},
		{[]string{"twin"}, []string{"viewer"}, []string{"admin"}, false}, // a built-in role ranks above its permissions
		{[]string{"twin"}, []string{"admin"}, nil, false},
	} {
		if err := organization.CheckManage(grant(c.holder), grant(c.before), grant(c.after)); (err == nil) != c.allowed {
			t.Errorf("%v turning %v into %v: %v", c.holder, c.before, c.after, err)
		}
	}
	if got := grant([]string{"root"}).Permissions; len(got) > 0 {
		t.Errorf("a custom role gives %v", got)
	}
}
