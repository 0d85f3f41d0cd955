package auth_test

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
)

// S88: a name must be one line. A name that was stored before this rule adds no line to
// a mail.
func TestS88AnOrganizationsNameWritesNoMail(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	ada, adas := p.signUp(t, "ada@example.org")
	const evil = "Acme\n\nYour account is locked.\r\nUnlock it: http://evil.example"
	_, err := p.organizations.CreateOrganization(with(t.Context(), ada), &authv1.CreateOrganizationRequest{Organization: &authv1.Organization{DisplayName: evil}})
	wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	if violations := fault.From(err).Violations(); len(violations) != 1 || violations[0].Field != "organization.displayName" {
		t.Errorf("refused for %v", violations)
	}
	p.database.AdminExec(t, "UPDATE auth.organizations SET display_name = $2 WHERE id = $1", adas.OrganizationID, evil)
	p.database.AdminExec(t, "UPDATE auth.users SET display_name = $2 WHERE id = $1", adas.UserID, "Ada\nSubject: another")
	_, err = p.invite(t, ada, "bob@example.org", "member")
	must(t, err)
	const clean = "Acme Your account is locked. Unlock it: http://evil.example"
	m := p.server.Wait(t, "bob@example.org", "You are invited to "+clean)
	if !strings.Contains(m.Text, "Ada Subject: another invites you to "+clean) || strings.Contains(m.Text, "\nYour account") {
		t.Errorf("the mail says %s", m.Text)
	}
}

func (p *mail) wantInvitationLimit(t *testing.T, by *authv1.TokenResponse, email string) {
	t.Helper()
	_, err := p.invite(t, by, email, "viewer")
	wantReason(t, err, faultv1.Reason_REASON_INVITATION_LIMIT)
	if after := fault.From(err).RetryAfter(); after <= 0 {
		t.Errorf("come back after %v", after)
	}
}

// S88: a user whose address is not confirmed sends few invitations a day. Withdrawn
// ones count, and all organizations count together.
func TestS88AnUnconfirmedAccountSendsFewInvitations(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	ada, adas := p.signUp(t, "ada@example.org")
	for n := range 5 {
		made, err := p.invite(t, ada, fmt.Sprintf("%d@example.com", n), "viewer")
		must(t, err)
		if n%2 == 0 {
			_, err = p.invitations.DeleteInvitation(with(t.Context(), ada), &authv1.DeleteInvitationRequest{OrganizationId: adas.OrganizationID, Id: made.GetId()})
			must(t, err)
		}
	}
	p.wantInvitationLimit(t, ada, "more@example.com")
	_, elsewhere := p.sharedOrganization(t, ada, "Elsewhere")
	p.wantInvitationLimit(t, elsewhere, "more@example.com")
	// Another day.
	p.database.AdminExec(t, "UPDATE auth.invitation_counts SET day = day - 1")
	_, err := p.invite(t, elsewhere, "more@example.com", "viewer")
	must(t, err)
	// Confirmed.
	p.database.AdminExec(t, "UPDATE auth.invitation_counts SET day = day + 1")
	p.database.AdminExec(t, "UPDATE auth.users SET email_verified = true WHERE id = $1", adas.UserID)
	_, err = p.invite(t, ada, "more@example.com", "viewer")
	must(t, err)
}

// S88: the limit of invitations a day holds for all members of an organization
// together.
func TestS88AnOrganizationSendsSoManyInvitationsADay(t *testing.T) {
	t.Parallel()
	p := setupMailWith(t, clock.System(), auth.Config{InvitationsPerDay: 3})
	ada, adas := p.signUp(t, "ada@example.org")
	admin := p.join(t, p.operator(t), adas.OrganizationID, "admin@example.org", "admin")
	p.database.AdminExec(t, "UPDATE auth.users SET email_verified = true")
	for n, by := range []*authv1.TokenResponse{ada, admin, ada} {
		_, err := p.invite(t, by, fmt.Sprintf("%d@example.com", n), "viewer")
		must(t, err)
	}
	p.wantInvitationLimit(t, admin, "more@example.com")
	p.wantInvitationLimit(t, ada, "0@example.com") // again
	_, elsewhere := p.sharedOrganization(t, ada, "Elsewhere")
	_, err := p.invite(t, elsewhere, "more@example.com", "viewer")
	must(t, err)
}

// S88: service accounts, of which anybody can create many, are no way around the
// limit.
func TestS88AServiceAccountOfUnconfirmedOwnersSendsNoInvitations(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	ada, adas := p.signUp(t, "ada@example.org")
	account, err := p.createServiceAccount(with(t.Context(), ada), adas.OrganizationID, "admin")
	must(t, err)
	key, err := p.createServiceKey(with(t.Context(), ada), adas.OrganizationID, account.GetId(),
		"members.write", "assistants.read", "chat.read", "knowledge.read", "members.read", "roles.read")
	must(t, err)
	resolver, err := keys.NewResolver(p.service.APIKey, clock.System())
	must(t, err)
	server := rpctest.Serve(t, "auth", p.service.Register, rpctest.Options{APIKeys: resolver})
	invitations := authv1.NewInvitationServiceClient(server.Conn)
	invite := func(n int) error {
		_, err := invitations.CreateInvitation(rpctest.With(t.Context(), key.GetSecret()), &authv1.CreateInvitationRequest{
			OrganizationId: adas.OrganizationID, Email: fmt.Sprintf("%d@example.com", n), Roles: []string{"viewer"},
		})
		return err
	}
	wantReason(t, invite(1), faultv1.Reason_REASON_PERMISSION_DENIED)
	p.database.AdminExec(t, "UPDATE auth.users SET email_verified = true WHERE id = $1", adas.UserID)
	must(t, invite(1))
}
