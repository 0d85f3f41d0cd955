package organization_test

import (
	"testing"

	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// When two owners demote each other at once, one succeeds. The other gets a conflict,
// because its own roles have changed, and not a refusal for lack of rights.
func TestUpdateMember_OwnersDemoteEachOther_OneGetsConflict(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	org := adas.OrganizationID
	bob := b.Join(t, b.Operator(t), org, "bob@example.org", "owner")
	bobs := b.Principal(t, bob)
	_, err := authtest.RaceWith(t, b, "auth.member.updated",
		func() error { return b.UpdateMember(authtest.With(t.Context(), ada), org, bobs.UserID, "viewer") },
		func() (struct{}, error) {
			return struct{}{}, b.UpdateMember(authtest.With(t.Context(), bob), org, adas.UserID, "viewer")
		})
	authtest.WantReason(t, err, faultv1.Reason_REASON_CONFLICT)
	owners := authtest.AdminText(t, b, "SELECT string_agg(user_id::text, ' ') FROM auth.memberships WHERE organization_id = $1 AND 'owner' = ANY (roles)", org)
	if owners != adas.UserID {
		t.Errorf("the owners are %s, want the first one", owners)
	}
	// After a new sign-in, the demoted owner is refused for lack of rights.
	again, err := b.SwitchTo(t, b.SignIn(t, "bob@example.org"), org)
	authtest.Must(t, err)
	authtest.WantReason(t, b.UpdateMember(authtest.With(t.Context(), again), org, adas.UserID, "viewer"), faultv1.Reason_REASON_PERMISSION_DENIED)
}
