package account_test

import (
	"slices"
	"testing"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestGetMe_ReturnsProfileAndOrganizations(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	_, ada := b.SignUp(t, "ada@example.org")
	bob := b.Join(t, b.Operator(t), ada.OrganizationID, "bob@example.org", "viewer")
	me, err := b.Accounts.GetMe(authtest.With(t.Context(), bob), &authv1.GetMeRequest{})
	authtest.Must(t, err)
	if me.GetOrganizationId() != ada.OrganizationID || !slices.Equal(me.GetRoles(), []string{"viewer"}) ||
		!slices.Contains(me.GetPermissions(), "members.read") || slices.Contains(me.GetPermissions(), "members.write") {
		t.Errorf("bob is %v", me)
	}
	if got := me.GetOrganizations(); len(got) != 2 || got[0].GetDisplayName() != "ada" || got[1].GetDisplayName() != "bob" {
		t.Errorf("bob belongs to %v", got)
	}
	_, err = b.Accounts.GetMe(t.Context(), &authv1.GetMeRequest{})
	authtest.WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
}
