package invitation_test

import (
	"fmt"
	"strings"
	"testing"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// S88: a name must be one line. A name that was stored before this rule adds no line to
// an email.
func TestS88OrganizationNameAddsNoLinesToEmail(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	ada, adas := p.SignUp(t, "ada@example.org")
	const evil = "Acme\n\nYour account is locked.\r\nUnlock it: http://evil.example"
	_, err := p.Organizations.CreateOrganization(authtest.With(t.Context(), ada), &authv1.CreateOrganizationRequest{Organization: &authv1.Organization{DisplayName: evil}})
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	if violations := fault.From(err).Violations(); len(violations) != 1 || violations[0].Field != "organization.displayName" {
		t.Errorf("refused for %v", violations)
	}
	p.Database.AdminExec(t, "UPDATE auth.organizations SET display_name = $2 WHERE id = $1", adas.OrganizationID, evil)
	p.Database.AdminExec(t, "UPDATE auth.users SET display_name = $2 WHERE id = $1", adas.UserID, "Ada\nSubject: another")
	_, err = p.Invite(t, ada, "bob@example.org", "member")
	authtest.Must(t, err)
	const clean = "Acme Your account is locked. Unlock it: http://evil.example"
	m := p.Server.Wait(t, "bob@example.org", "You are invited to "+clean)
	if !strings.Contains(m.Text, "Ada Subject: another invites you to "+clean) || strings.Contains(m.Text, "\nYour account") {
		t.Errorf("the email is %s", m.Text)
	}
}

// S88: a user with an unconfirmed address may send few invitations a day. Withdrawn
// ones count, and all organizations count together.
func TestS88UnconfirmedAccountIsLimited(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	ada, adas := p.SignUp(t, "ada@example.org")
	for n := range 5 {
		created, err := p.Invite(t, ada, fmt.Sprintf("%d@example.com", n), "viewer")
		authtest.Must(t, err)
		if n%2 == 0 {
			_, err = p.Invitations.DeleteInvitation(authtest.With(t.Context(), ada), &authv1.DeleteInvitationRequest{OrganizationId: adas.OrganizationID, Id: created.GetId()})
			authtest.Must(t, err)
		}
	}
	p.WantInvitationLimit(t, ada, "more@example.com")
	_, elsewhere := p.CreateOrganization(t, ada, "Elsewhere")
	p.WantInvitationLimit(t, elsewhere, "more@example.com")
	// Another day.
	p.Database.AdminExec(t, "UPDATE auth.invitation_counts SET day = day - 1")
	_, err := p.Invite(t, elsewhere, "more@example.com", "viewer")
	authtest.Must(t, err)
	// Confirmed.
	p.Database.AdminExec(t, "UPDATE auth.invitation_counts SET day = day + 1")
	p.Database.AdminExec(t, "UPDATE auth.users SET email_verified = true WHERE id = $1", adas.UserID)
	_, err = p.Invite(t, ada, "more@example.com", "viewer")
	authtest.Must(t, err)
}

// S88: the daily limit of invitations counts all members of an organization together.
func TestS88OrganizationIsLimitedPerDay(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMailWith(t, clock.System(), auth.Config{Settings: auth.Settings{InvitationsPerDay: 3}})
	ada, adas := p.SignUp(t, "ada@example.org")
	admin := p.Join(t, p.Operator(t), adas.OrganizationID, "admin@example.org", "admin")
	p.Database.AdminExec(t, "UPDATE auth.users SET email_verified = true")
	for n, by := range []*authv1.TokenResponse{ada, admin, ada} {
		_, err := p.Invite(t, by, fmt.Sprintf("%d@example.com", n), "viewer")
		authtest.Must(t, err)
	}
	p.WantInvitationLimit(t, admin, "more@example.com")
	p.WantInvitationLimit(t, ada, "0@example.com") // again
	_, elsewhere := p.CreateOrganization(t, ada, "Elsewhere")
	_, err := p.Invite(t, elsewhere, "more@example.com", "viewer")
	authtest.Must(t, err)
}

// S88: service accounts, of which anyone can create many, cannot be used to avoid the
// limit.
func TestS88ServiceAccountOfUnconfirmedOwnersCannotInvite(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	ada, adas := p.SignUp(t, "ada@example.org")
	account, err := p.CreateServiceAccount(authtest.With(t.Context(), ada), adas.OrganizationID, "admin")
	authtest.Must(t, err)
	key, err := p.CreateServiceKey(authtest.With(t.Context(), ada), adas.OrganizationID, account.GetId(),
		"members.write", "assistants.read", "chat.read", "knowledge.read", "members.read", "roles.read")
	authtest.Must(t, err)
	resolver, err := keys.NewResolver(p.Service.APIKey, clock.System())
	authtest.Must(t, err)
	server := rpctest.Serve(t, "auth", p.Service.Register, rpctest.Options{APIKeys: resolver})
	invitations := authv1.NewInvitationServiceClient(server.Conn)
	invite := func(n int) error {
		_, err := invitations.CreateInvitation(rpctest.With(t.Context(), key.GetSecret()), &authv1.CreateInvitationRequest{
			OrganizationId: adas.OrganizationID, Email: fmt.Sprintf("%d@example.com", n), Roles: []string{"viewer"},
		})
		return err
	}
	authtest.WantReason(t, invite(1), faultv1.Reason_REASON_PERMISSION_DENIED)
	p.Database.AdminExec(t, "UPDATE auth.users SET email_verified = true WHERE id = $1", adas.UserID)
	authtest.Must(t, invite(1))
}
