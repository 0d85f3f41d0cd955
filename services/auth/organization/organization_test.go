package organization_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/services/auth/organization"
)

func TestS45NobodyManagesWhoIsAbove(t *testing.T) {
	t.Parallel()
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
	} {
		if err := organization.CheckManage(c.holder, c.before, c.after); (err == nil) != c.allowed {
			t.Errorf("%v turning %v into %v: %v", c.holder, c.before, c.after, err)
		}
	}
}
