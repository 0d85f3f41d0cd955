package invitation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/invitation"
)

// An invitation works once, for the address to which it was sent.
func TestAcceptInvitation_AddsMember(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	ada, adas := p.SignUp(t, "ada@example.org")
	bob, _ := p.SignUp(t, "Bob@example.org")
	eve, _ := p.SignUp(t, "eve@example.org")
	_, err := p.Invite(t, ada, "bob@Example.org", "member")
	authtest.Must(t, err)
	page, token := p.Link(t, "bob@Example.org", authtest.InvitedSubject)
	if page != "/account/invitation" {
		t.Errorf("the link leads to %s", page)
	}
	for name, by := range map[string]*authv1.TokenResponse{"another's address": eve, "the inviter": ada} {
		if _, err := p.AcceptInvitation(t, by, token); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	_, err = p.AcceptInvitation(t, bob, "no such token")
	authtest.WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	where, err := p.AcceptInvitation(t, bob, token)
	authtest.Must(t, err)
	if where != adas.OrganizationID {
		t.Errorf("a member of %s", where)
	}
	_, err = p.AcceptInvitation(t, bob, token)
	authtest.WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	there, err := p.Sessions.SwitchOrganization(authtest.With(t.Context(), bob), &authv1.SwitchOrganizationRequest{OrganizationId: where})
	authtest.Must(t, err)
	if roles := p.Principal(t, there).Roles; len(roles) != 1 || roles[0] != "member" {
		t.Errorf("bob's roles are %q", roles)
	}
	if got := p.InvitationStates(t, ada)["bob@Example.org"]; got != authv1.Invitation_ACCEPTED {
		t.Errorf("the invitation is %v", got)
	}
	_, err = p.Invite(t, ada, "bob@example.org", "viewer")
	authtest.WantReason(t, err, faultv1.Reason_REASON_ALREADY_EXISTS)
	authtest.WantActions(t, p.Bundle, adas.OrganizationID, "auth.user.created", "auth.session.created",
		"auth.invitation.created", "auth.invitation.accepted", "auth.session.created")
}

func TestAcceptInvitation_WithdrawnReplacedOrExpired_IsRefused(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	ada, adas := p.SignUp(t, "ada@example.org")
	bob, _ := p.SignUp(t, "bob@example.org")
	first, err := p.Invite(t, ada, "bob@example.org", "viewer")
	authtest.Must(t, err)
	_, replaced := p.Link(t, "bob@example.org", authtest.InvitedSubject)
	_, err = p.Invitations.DeleteInvitation(authtest.With(t.Context(), ada), &authv1.DeleteInvitationRequest{OrganizationId: adas.OrganizationID, Id: first.GetId()})
	authtest.Must(t, err)
	_, err = p.AcceptInvitation(t, bob, replaced)
	authtest.WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	_, err = p.Invitations.DeleteInvitation(authtest.With(t.Context(), ada), &authv1.DeleteInvitationRequest{OrganizationId: adas.OrganizationID, Id: first.GetId()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)

	_, err = p.Invite(t, ada, "carol@example.org", "viewer")
	authtest.Must(t, err)
	_, late := p.Link(t, "carol@example.org", authtest.InvitedSubject)
	carol, _ := p.SignUp(t, "carol@example.org")
	p.Database.AdminExec(t, "UPDATE auth.invitations SET expires_at = now() - interval '1 second'")
	_, err = p.AcceptInvitation(t, carol, late)
	authtest.WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
}

// S45: nobody invites above their own role, and nobody invites without the permission.
func TestS45InvitationCannotExceedInviter(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	_, adas := p.SignUp(t, "ada@example.org")
	operator := p.Operator(t)
	admin := p.Join(t, operator, adas.OrganizationID, "admin@example.org", "admin")
	member := p.Join(t, operator, adas.OrganizationID, "member@example.org", "member")
	_, err := p.Invite(t, admin, "x@example.org", "owner")
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = p.Invite(t, member, "x@example.org", "viewer")
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = p.Invite(t, admin, "x@example.org", "admin")
	authtest.Must(t, err)
	_, err = p.Invitations.CreateInvitation(authtest.With(t.Context(), admin), &authv1.CreateInvitationRequest{
		OrganizationId: id.New(), Email: "x@example.org", Roles: []string{"viewer"},
	})
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
}

// S73: a copy of the database has no usable invitation.
func TestS73InvitationTokensAreStoredHashed(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	ada, _ := p.SignUp(t, "ada@example.org")
	_, err := p.Invite(t, ada, "bob@example.org", "member")
	authtest.Must(t, err)
	_, token := p.Link(t, "bob@example.org", authtest.InvitedSubject)
	if stored := authtest.AdminText(t, p.Bundle, "SELECT string_agg(i::text, ' ') FROM auth.invitations i"); strings.Contains(stored, token) {
		t.Error("the token is stored in plain text")
	}
	if invitation.TTL > 7*24*time.Hour {
		t.Error("an invitation is valid for longer than the email says")
	}
}
