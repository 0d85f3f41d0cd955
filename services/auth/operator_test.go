package auth_test

import (
	"slices"
	"testing"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestEnsureOperator_CalledTwice_CreatesOneOperator(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	for i, want := range []bool{true, false} {
		created, err := b.Service.EnsureOperator(t.Context())
		if err != nil || created != want {
			t.Errorf("call %d: created %t, %v", i, created, err)
		}
	}
	tokens := b.SignIn(t, "root@example.org")
	if p := b.Principal(t, tokens); !slices.Equal(p.Roles, []string{"owner", "operator"}) {
		t.Errorf("the operator's roles are %v", p.Roles)
	}
	me, err := b.Accounts.GetMe(authtest.With(t.Context(), tokens), &authv1.GetMeRequest{})
	authtest.Must(t, err)
	if !slices.Contains(me.GetPermissions(), "organizations.operate") {
		t.Errorf("the operator may %v", me.GetPermissions())
	}
}
