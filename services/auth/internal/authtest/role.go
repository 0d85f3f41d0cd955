package authtest

import (
	"context"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

func (b *Bundle) CreateRole(t *testing.T, by *authv1.TokenResponse, name string, permissions ...string) *authv1.Role {
	t.Helper()
	r, err := b.TryRole(t, by, name, permissions...)
	Must(t, err)
	return r
}

func (b *Bundle) TryRole(t *testing.T, by *authv1.TokenResponse, name string, permissions ...string) (*authv1.Role, error) {
	t.Helper()
	return b.Roles.CreateRole(With(t.Context(), by), &authv1.CreateRoleRequest{
		OrganizationId: b.Principal(t, by).OrganizationID, Role: &authv1.Role{DisplayName: name, Permissions: permissions},
	})
}

func (b *Bundle) UpdateRole(ctx context.Context, organizationID string, r *authv1.Role, mask ...string) (*authv1.Role, error) {
	return b.Roles.UpdateRole(ctx, &authv1.UpdateRoleRequest{
		OrganizationId: organizationID, Role: r, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask},
	})
}

func (b *Bundle) DeleteRole(ctx context.Context, organizationID, roleID string, force bool) error {
	_, err := b.Roles.DeleteRole(ctx, &authv1.DeleteRoleRequest{OrganizationId: organizationID, Id: roleID, Force: force})
	return err
}

// Permissions are what a token allows, as its user is told.
func (b *Bundle) Permissions(t *testing.T, tokens *authv1.TokenResponse) []string {
	t.Helper()
	me, err := b.Accounts.GetMe(With(t.Context(), tokens), &authv1.GetMeRequest{})
	Must(t, err)
	return me.GetPermissions()
}

// Refreshed is what a member's refreshed token is.
func (b *Bundle) Refreshed(t *testing.T, tokens *authv1.TokenResponse) *authv1.TokenResponse {
	t.Helper()
	out, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	Must(t, err)
	return out
}
