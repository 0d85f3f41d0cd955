package authtest

import (
	"context"
	"testing"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// Join makes the operator add a new account to an organization, and answers the
// account's tokens there.
func (b *Bundle) Join(t *testing.T, operator *authv1.TokenResponse, organizationID, email string, roles ...string) *authv1.TokenResponse {
	t.Helper()
	tokens, p := b.SignUp(t, email)
	_, err := b.Organizations.AddMember(With(t.Context(), operator), &authv1.AddMemberRequest{
		OrganizationId: organizationID, UserId: p.UserID, Roles: roles,
	})
	Must(t, err)
	switched, err := b.Sessions.SwitchOrganization(With(t.Context(), tokens), &authv1.SwitchOrganizationRequest{OrganizationId: organizationID})
	Must(t, err)
	return switched
}

func (b *Bundle) UpdateMember(ctx context.Context, organizationID, userID string, roles ...string) error {
	_, err := b.Organizations.UpdateMember(ctx, &authv1.UpdateMemberRequest{OrganizationId: organizationID, UserId: userID, Roles: roles})
	return err
}

func (b *Bundle) RemoveMember(ctx context.Context, organizationID, userID string) error {
	_, err := b.Organizations.RemoveMember(ctx, &authv1.RemoveMemberRequest{OrganizationId: organizationID, UserId: userID})
	return err
}
