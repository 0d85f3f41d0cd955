package authtest

import (
	"context"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Join creates an account, lets the operator add it to an organization, and returns the
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

// UpdateMember changes the roles of a member.
func (b *Bundle) UpdateMember(ctx context.Context, organizationID, userID string, roles ...string) error {
	_, err := b.Organizations.UpdateMember(ctx, &authv1.UpdateMemberRequest{OrganizationId: organizationID, UserId: userID, Roles: roles})
	return err
}

// RemoveMember removes a member.
func (b *Bundle) RemoveMember(ctx context.Context, organizationID, userID string) error {
	_, err := b.Organizations.RemoveMember(ctx, &authv1.RemoveMemberRequest{OrganizationId: organizationID, UserId: userID})
	return err
}

// CreateRole creates a custom role.
func (b *Bundle) CreateRole(t *testing.T, by *authv1.TokenResponse, name string, permissions ...string) *authv1.Role {
	t.Helper()
	r, err := b.TryRole(t, by, name, permissions...)
	Must(t, err)
	return r
}

// TryRole is [Bundle.CreateRole] that returns the error.
func (b *Bundle) TryRole(t *testing.T, by *authv1.TokenResponse, name string, permissions ...string) (*authv1.Role, error) {
	t.Helper()
	return b.Roles.CreateRole(With(t.Context(), by), &authv1.CreateRoleRequest{
		OrganizationId: b.Principal(t, by).OrganizationID, Role: &authv1.Role{DisplayName: name, Permissions: permissions},
	})
}

// UpdateRole updates a custom role.
func (b *Bundle) UpdateRole(ctx context.Context, organizationID string, r *authv1.Role, mask ...string) (*authv1.Role, error) {
	return b.Roles.UpdateRole(ctx, &authv1.UpdateRoleRequest{
		OrganizationId: organizationID, Role: r, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask},
	})
}

// DeleteRole deletes a custom role.
func (b *Bundle) DeleteRole(ctx context.Context, organizationID, roleID string, force bool) error {
	_, err := b.Roles.DeleteRole(ctx, &authv1.DeleteRoleRequest{OrganizationId: organizationID, Id: roleID, Force: force})
	return err
}

// Permissions returns the permissions that GetMe reports for a token.
func (b *Bundle) Permissions(t *testing.T, tokens *authv1.TokenResponse) []string {
	t.Helper()
	me, err := b.Accounts.GetMe(With(t.Context(), tokens), &authv1.GetMeRequest{})
	Must(t, err)
	return me.GetPermissions()
}

// Refreshed returns refreshed tokens.
func (b *Bundle) Refreshed(t *testing.T, tokens *authv1.TokenResponse) *authv1.TokenResponse {
	t.Helper()
	out, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	Must(t, err)
	return out
}

// InvitedSubject is the subject of an invitation by the user Ada.
const InvitedSubject = "You are invited to ada"

// Invite invites an address to the organization of the tokens.
func (p *Mail) Invite(t *testing.T, by *authv1.TokenResponse, email string, roles ...string) (*authv1.Invitation, error) {
	t.Helper()
	return p.Invitations.CreateInvitation(With(t.Context(), by), &authv1.CreateInvitationRequest{
		OrganizationId: p.Principal(t, by).OrganizationID, Email: email, Roles: roles,
	})
}

// AcceptInvitation accepts an invitation, and returns its organization.
func (p *Mail) AcceptInvitation(t *testing.T, by *authv1.TokenResponse, token string) (string, error) {
	t.Helper()
	accepted, err := p.Invitations.AcceptInvitation(With(t.Context(), by), &authv1.AcceptInvitationRequest{Token: token})
	return accepted.GetOrganizationId(), err
}

// InvitationStates returns the states of an organization's invitations by their addresses.
func (p *Mail) InvitationStates(t *testing.T, by *authv1.TokenResponse) map[string]authv1.Invitation_State {
	t.Helper()
	list, err := p.Invitations.ListInvitations(With(t.Context(), by), &authv1.ListInvitationsRequest{OrganizationId: p.Principal(t, by).OrganizationID})
	Must(t, err)
	out := map[string]authv1.Invitation_State{}
	for _, i := range list.GetInvitations() {
		out[i.GetEmail()] = i.GetState()
	}
	return out
}

// WantInvitationLimit fails the test unless an invitation is refused because of the limit.
func (p *Mail) WantInvitationLimit(t *testing.T, by *authv1.TokenResponse, email string) {
	t.Helper()
	_, err := p.Invite(t, by, email, "viewer")
	WantReason(t, err, faultv1.Reason_REASON_INVITATION_LIMIT)
	if after := fault.From(err).RetryAfter(); after <= 0 {
		t.Errorf("retry after %v", after)
	}
}

// UserAdmin returns the client with which operators manage users.
func (b *Bundle) UserAdmin() authv1.UserServiceClient { return authv1.NewUserServiceClient(b.Conn) }

// SetDisabled disables or enables a user.
func (b *Bundle) SetDisabled(t *testing.T, operator *authv1.TokenResponse, userID string, disabled bool) error {
	t.Helper()
	_, err := b.UserAdmin().UpdateUser(With(t.Context(), operator), &authv1.UpdateUserRequest{
		User: &authv1.User{Id: userID, Disabled: disabled}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"disabled"}},
	})
	return err
}
