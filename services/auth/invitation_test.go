package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/invitation"
)

const invited = "You are invited to ada"

func (p *mail) invite(t *testing.T, by *authv1.TokenResponse, email string, roles ...string) (*authv1.Invitation, error) {
	t.Helper()
	return p.invitations.CreateInvitation(with(t.Context(), by), &authv1.CreateInvitationRequest{
		OrganizationId: p.principal(t, by).OrganizationID, Email: email, Roles: roles,
	})
}

func (p *mail) acceptInvitation(t *testing.T, by *authv1.TokenResponse, token string) (string, error) {
	t.Helper()
	accepted, err := p.invitations.AcceptInvitation(with(t.Context(), by), &authv1.AcceptInvitationRequest{Token: token})
	return accepted.GetOrganizationId(), err
}

func (p *mail) invitationStates(t *testing.T, by *authv1.TokenResponse) map[string]authv1.Invitation_State {
	t.Helper()
	list, err := p.invitations.ListInvitations(with(t.Context(), by), &authv1.ListInvitationsRequest{OrganizationId: p.principal(t, by).OrganizationID})
	must(t, err)
	out := map[string]authv1.Invitation_State{}
	for _, i := range list.GetInvitations() {
		out[i.GetEmail()] = i.GetState()
	}
	return out
}

// An invitation works once, for the address that it was sent to alone.
func TestAnInvitationMakesItsReaderAMember(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	ada, adas := p.signUp(t, "ada@example.org")
	bob, _ := p.signUp(t, "Bob@example.org")
	eve, _ := p.signUp(t, "eve@example.org")
	_, err := p.invite(t, ada, "bob@Example.org", "member")
	must(t, err)
	page, token := p.link(t, "bob@Example.org", invited)
	if page != "/account/invitation" {
		t.Errorf("the link leads to %s", page)
	}
	for name, by := range map[string]*authv1.TokenResponse{"another's address": eve, "the inviter": ada} {
		if _, err := p.acceptInvitation(t, by, token); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	_, err = p.acceptInvitation(t, bob, "no such token")
	wantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	where, err := p.acceptInvitation(t, bob, token)
	must(t, err)
	if where != adas.OrganizationID {
		t.Errorf("a member of %s", where)
	}
	_, err = p.acceptInvitation(t, bob, token)
	wantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	there, err := p.sessions.SwitchOrganization(with(t.Context(), bob), &authv1.SwitchOrganizationRequest{OrganizationId: where})
	must(t, err)
	if roles := p.principal(t, there).Roles; len(roles) != 1 || roles[0] != "member" {
		t.Errorf("bob's roles are %q", roles)
	}
	if got := p.invitationStates(t, ada)["bob@Example.org"]; got != authv1.Invitation_ACCEPTED {
		t.Errorf("the invitation is %v", got)
	}
	_, err = p.invite(t, ada, "bob@example.org", "viewer")
	wantReason(t, err, faultv1.Reason_REASON_ALREADY_EXISTS)
	wantActions(t, p.bundle, adas.OrganizationID, "auth.user.created", "auth.session.created",
		"auth.invitation.created", "auth.invitation.accepted", "auth.session.created")
}

func TestInvitationsThatStopWorking(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	ada, adas := p.signUp(t, "ada@example.org")
	bob, _ := p.signUp(t, "bob@example.org")
	first, err := p.invite(t, ada, "bob@example.org", "viewer")
	must(t, err)
	_, replaced := p.link(t, "bob@example.org", invited)
	_, err = p.invitations.DeleteInvitation(with(t.Context(), ada), &authv1.DeleteInvitationRequest{OrganizationId: adas.OrganizationID, Id: first.GetId()})
	must(t, err)
	_, err = p.acceptInvitation(t, bob, replaced)
	wantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	_, err = p.invitations.DeleteInvitation(with(t.Context(), ada), &authv1.DeleteInvitationRequest{OrganizationId: adas.OrganizationID, Id: first.GetId()})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)

	_, err = p.invite(t, ada, "carol@example.org", "viewer")
	must(t, err)
	_, late := p.link(t, "carol@example.org", invited)
	carol, _ := p.signUp(t, "carol@example.org")
	p.database.AdminExec(t, "UPDATE auth.invitations SET expires_at = now() - interval '1 second'")
	_, err = p.acceptInvitation(t, carol, late)
	wantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
}

// S45: nobody invites above its own role, and nobody without the permission.
func TestS45InvitationsGiveNoMoreThanTheInviterHas(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	_, adas := p.signUp(t, "ada@example.org")
	operator := p.operator(t)
	admin := p.join(t, operator, adas.OrganizationID, "admin@example.org", "admin")
	member := p.join(t, operator, adas.OrganizationID, "member@example.org", "member")
	_, err := p.invite(t, admin, "x@example.org", "owner")
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = p.invite(t, member, "x@example.org", "viewer")
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = p.invite(t, admin, "x@example.org", "admin")
	must(t, err)
	_, err = p.invitations.CreateInvitation(with(t.Context(), admin), &authv1.CreateInvitationRequest{
		OrganizationId: id.New(), Email: "x@example.org", Roles: []string{"viewer"},
	})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
}

// S73: a dump holds no invitation that works.
func TestS73InvitationsRestHashed(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	ada, _ := p.signUp(t, "ada@example.org")
	_, err := p.invite(t, ada, "bob@example.org", "member")
	must(t, err)
	_, token := p.link(t, "bob@example.org", invited)
	if stored := adminText(t, p.bundle, "SELECT string_agg(i::text, ' ') FROM auth.invitations i"); strings.Contains(stored, token) {
		t.Error("the token rests in the clear")
	}
	if invitation.TTL > 7*24*time.Hour {
		t.Error("an invitation waits for longer than the mail says")
	}
}
