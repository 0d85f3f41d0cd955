package authtest

import (
	"testing"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

const Invited = "You are invited to ada"

func (p *Mail) Invite(t *testing.T, by *authv1.TokenResponse, email string, roles ...string) (*authv1.Invitation, error) {
	t.Helper()
	return p.Invitations.CreateInvitation(With(t.Context(), by), &authv1.CreateInvitationRequest{
		OrganizationId: p.Principal(t, by).OrganizationID, Email: email, Roles: roles,
	})
}

func (p *Mail) AcceptInvitation(t *testing.T, by *authv1.TokenResponse, token string) (string, error) {
	t.Helper()
	accepted, err := p.Invitations.AcceptInvitation(With(t.Context(), by), &authv1.AcceptInvitationRequest{Token: token})
	return accepted.GetOrganizationId(), err
}

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
