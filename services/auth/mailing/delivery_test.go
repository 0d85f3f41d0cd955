package mailing_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/mailtest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// An email over the limit is dropped silently. Emails of other kinds, and to other
// addresses, are sent.
func TestEnqueue_ManyEmailsToOneAddress_AreLimited(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := authtest.SetupMail(t, clk, false)
	p.SignUp(t, authtest.Ada)
	for range 7 {
		p.ForgotPassword(t, "ADA@example.org")
	}
	_, err := p.Emails.ResendVerification(t.Context(), &authv1.ResendVerificationRequest{Email: authtest.Ada})
	authtest.Must(t, err)
	p.WaitDelivered(t, 9)
	clk.Advance(time.Hour)
	p.ForgotPassword(t, authtest.Ada)
	p.WaitDelivered(t, 10)
	got := map[string]int{}
	for _, m := range p.Server.Mails() {
		got[m.Subject]++
	}
	if got["Choose a new password"] != 6 || got["Finish your sign-up"] != 1 || got["Confirm your address"] != 1 {
		t.Errorf("got %v", got)
	}
}

// While the mail server is down, sign-up works, and the queue has nothing that a copy
// of the database or a log would reveal.
func TestS74EmailsStaySealedWhileMailServerIsDown(t *testing.T) {
	t.Parallel()
	address := mailtest.Reserve(t)
	p := authtest.SetupMailAt(t, clock.System(), auth.Config{VerifiedEmail: true}, mailtest.URLAt(address))
	p.RequestSignUp(t, authtest.Ada, authtest.Password)
	authtest.WaitFor(t, func() bool {
		return authtest.AdminText(t, p.Bundle, "SELECT count(*)::text FROM jobs_auth.river_job WHERE cardinality(errors) > 0") == "1"
	})
	waiting := authtest.AdminText(t, p.Bundle, "SELECT string_agg(j::text, ' ') FROM jobs_auth.river_job j")
	for _, secret := range []string{authtest.Password, "argon2", "example.org", "Somebody", "code="} {
		if strings.Contains(waiting, secret) {
			t.Errorf("the queue has %q: %s", secret, waiting)
		}
	}
	p.Server = mailtest.StartAt(t, address)
	_, token := p.Link(t, authtest.Ada, "Confirm your address")
	authtest.Must(t, p.VerifyEmail(t, token))
	authtest.Must(t, p.TryPassword(t, authtest.Ada, authtest.Password))
}
