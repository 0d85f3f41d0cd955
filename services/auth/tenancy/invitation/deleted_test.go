package invitation_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/mailtest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// S78: a queued invitation is not sent after its organization was deleted.
func TestS78InvitationOfDeletedOrganizationIsNotMailed(t *testing.T) {
	t.Parallel()
	address := mailtest.Reserve(t)
	p := authtest.SetupMailAt(t, clock.System(), auth.Config{}, mailtest.URLAt(address))
	home, _ := p.SignUp(t, authtest.Ada)
	org, owner := p.CreateOrganization(t, home, "ada")
	_, err := p.Invite(t, owner, "bob@example.org", "member")
	authtest.Must(t, err)
	authtest.WaitFor(t, func() bool {
		return authtest.AdminText(t, p.Bundle, "SELECT count(*)::text FROM jobs_auth.river_job WHERE cardinality(errors) > 0") == "2"
	})
	authtest.Must(t, p.DeleteOrganization(authtest.With(t.Context(), home), org))
	p.Server = mailtest.StartAt(t, address)
	// The next attempts would be due in some seconds.
	p.Database.AdminExec(t, "UPDATE jobs_auth.river_job SET state = 'available', scheduled_at = now() WHERE state = 'retryable'")
	p.WaitDelivered(t, 2)
	for _, m := range p.Server.Mails() {
		if m.To != authtest.Ada {
			t.Errorf("%s got the email %q", m.To, m.Subject)
		}
	}
}

// S78: a user whose account is deleted at the same time does not become a member.
func TestS78DeletedAccountCannotAcceptConcurrently(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	home, _ := p.SignUp(t, authtest.Ada)
	guest, who := p.SignUp(t, "bob@example.org")
	_, err := p.Invite(t, home, "bob@example.org", "owner")
	authtest.Must(t, err)
	_, token := p.Link(t, "bob@example.org", authtest.InvitedSubject)
	_, err = authtest.RaceWith(t, p.Bundle, "auth.user.deleted", func() error {
		_, err := p.Accounts.DeleteMe(authtest.With(t.Context(), guest), &authv1.DeleteMeRequest{})
		return err
	}, func() (string, error) { return p.AcceptInvitation(t, guest, token) })
	authtest.WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	if n := authtest.AdminText(t, p.Bundle, "SELECT count(*)::text FROM auth.memberships WHERE user_id = '"+who.UserID+"'"); n != "0" {
		t.Errorf("the deleted user has %s memberships", n)
	}
}
