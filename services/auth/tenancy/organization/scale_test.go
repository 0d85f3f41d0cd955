package organization_test

import (
	"testing"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestListMembers_ManyMembers_PagesCostTheSame(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	tokens, p := b.SignUp(t, "ada@example.org")
	b.AddMembers(t, p.OrganizationID, "member")
	b.WantLevelPages(t, authtest.ManyMembers+1, func(token string) (ids []string, next string) {
		page, err := b.Organizations.ListMembers(authtest.With(t.Context(), tokens),
			&authv1.ListMembersRequest{OrganizationId: p.OrganizationID, PageSize: authtest.PageSize, PageToken: token})
		authtest.Must(t, err)
		for _, m := range page.GetMembers() {
			ids = append(ids, m.GetUserId())
		}
		return ids, page.GetNextPageToken()
	})
	authtest.WantFew(t, "a sign-in", b.Effort(t, func() { tokens = b.SignIn(t, "ada@example.org") }))
	authtest.WantFew(t, "a refresh", b.Effort(t, func() { tokens = b.Refreshed(t, tokens) }))
	authtest.WantFew(t, "who one is", b.Effort(t, func() { b.Permissions(t, tokens) }))
}
