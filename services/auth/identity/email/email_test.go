package email_test

import (
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/mailtest"
	"github.com/gatehouse/gatehouse/platform/notify"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/identity/email"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestS14SignUpResponseIsTheSameForTakenAddress(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), true)
	p.RequestSignUp(t, authtest.Ada, authtest.Password)
	page, token := p.Link(t, authtest.Ada, "Confirm your address")
	if page != "/account/verify" {
		t.Errorf("the link leads to %s", page)
	}
	authtest.WantReason(t, p.TryPassword(t, authtest.Ada, authtest.Password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
	authtest.Must(t, p.VerifyEmail(t, token))
	authtest.WantReason(t, p.VerifyEmail(t, token), faultv1.Reason_REASON_TOKEN_INVALID)
	tokens := p.SignIn(t, authtest.Ada)
	if u := tokens.GetUser(); !u.GetEmailVerified() || u.GetEmail() != authtest.Ada || u.GetDisplayName() != "Somebody" {
		t.Errorf("signed in as %v", u)
	}
	// A second sign-up with another spelling and another password changes nothing.
	// Only the email reports it.
	p.RequestSignUp(t, "ADA@Example.org", authtest.OtherPassword)
	notice := p.Server.Wait(t, "ADA@Example.org", "You have an account already")
	if authtest.LinkPattern.MatchString(notice.Text) {
		t.Error("the notice has a link")
	}
	authtest.WantReason(t, p.TryPassword(t, authtest.Ada, authtest.OtherPassword), faultv1.Reason_REASON_INVALID_CREDENTIALS)
}

// A request does the same in the database whether the address has an account or not: it
// queues an email.
func TestS14RequestingEmailIsSameWorkForAnyAddress(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	p.SignUp(t, authtest.Ada)
	p.Server.Wait(t, authtest.Ada, "Confirm your address")
	traces := func() string {
		return authtest.AdminText(t, p.Bundle, `SELECT sum(letters) || ' letters, ' || (SELECT count(*) FROM jobs_auth.river_job) || ' jobs of '
			|| (SELECT count(DISTINCT length(args::text)) FROM jobs_auth.river_job WHERE kind = 'deliver_letter' AND id > 1) || ' sizes'
			FROM auth.letter_counts`)
	}
	for i, address := range []string{"eve@example.org", authtest.Ada} { // addresses of equal length
		p.ForgotPassword(t, address)
		_, err := p.Emails.ResendVerification(t.Context(), &authv1.ResendVerificationRequest{Email: address})
		authtest.Must(t, err)
		if got, want := traces(), []string{"3 letters, 3 jobs of 1 sizes", "5 letters, 5 jobs of 1 sizes"}[i]; got != want {
			t.Errorf("the request for %s left %s, want %s", address, got, want)
		}
	}
	p.Link(t, authtest.Ada, "Choose a new password")
	for _, m := range p.Server.Mails() {
		if m.To != authtest.Ada {
			t.Errorf("%s got the email %s", m.To, m.Subject)
		}
	}
}

// Where addresses need not be confirmed, somebody may sign up with another person's
// address.
func TestS16OwnerOfAddressRemovesSquattersCredentials(t *testing.T) {
	t.Parallel()
	ways := map[string]struct {
		ask     func(t *testing.T, p *authtest.Mail)
		subject string
	}{
		"forgot": {func(t *testing.T, p *authtest.Mail) { t.Helper(); p.ForgotPassword(t, authtest.Ada) }, "Choose a new password"},
		"resend": {func(t *testing.T, p *authtest.Mail) {
			t.Helper()
			_, err := p.Emails.ResendVerification(t.Context(), &authv1.ResendVerificationRequest{Email: authtest.Ada})
			authtest.Must(t, err)
		}, "Finish your sign-up"},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := authtest.SetupMail(t, clock.System(), false)
			squatter, who := p.SignUp(t, authtest.Ada)
			_, err := p.APIKeys.CreateApiKey(authtest.With(t.Context(), squatter), &authv1.CreateApiKeyRequest{ApiKey: &authv1.ApiKey{DisplayName: "theirs", Scopes: []string{"members.read"}}})
			authtest.Must(t, err)
			p.EnrollDirectly(t, who.UserID)
			way.ask(t, p)
			_, token := p.Link(t, authtest.Ada, way.subject)
			authtest.Must(t, p.ResetPassword(t, token, authtest.OtherPassword))
			authtest.WantReason(t, p.TryPassword(t, authtest.Ada, authtest.Password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
			_, err = p.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: squatter.GetRefreshToken()})
			authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
			answer, err := p.Sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: authtest.Ada, Password: authtest.OtherPassword})
			authtest.Must(t, err)
			if answer.GetAccessToken() == "" || !answer.GetUser().GetEmailVerified() {
				t.Errorf("the owner's sign-in returned %v", answer)
			}
			if n := authtest.AdminText(t, p.Bundle, "SELECT ((SELECT count(*) FROM auth.api_keys) + (SELECT count(*) FROM auth.totp_factors))::text"); n != "0" {
				t.Errorf("%s keys and factors of the squatter are left", n)
			}
		})
	}
}

// Where addresses must be confirmed, each sign-up is pending with its own password. The
// link that its reader opens decides which one counts.
func TestS16EachSignUpIsConfirmedByItsLink(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), true)
	p.RequestSignUp(t, authtest.Ada, authtest.Password)
	_, squatters := p.Link(t, authtest.Ada, "Confirm your address")
	p.Server.Forget()
	p.RequestSignUp(t, authtest.Ada, authtest.OtherPassword)
	_, owners := p.Link(t, authtest.Ada, "Confirm your address")
	authtest.Must(t, p.VerifyEmail(t, owners))
	authtest.WantReason(t, p.VerifyEmail(t, squatters), faultv1.Reason_REASON_TOKEN_INVALID)
	authtest.WantReason(t, p.TryPassword(t, authtest.Ada, authtest.Password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
	authtest.Must(t, p.TryPassword(t, authtest.Ada, authtest.OtherPassword))
}

// An account from before confirming was required can be used only after its owner used
// an email.
func TestS16UnconfirmedAccountNeedsNewPassword(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), true)
	_, err := p.Service.EnsureOperator(t.Context())
	authtest.Must(t, err)
	p.Database.AdminExec(t, "UPDATE auth.users SET email_verified = false")
	authtest.WantReason(t, p.TryPassword(t, "root@example.org", authtest.Password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
	_, err = p.Emails.ResendVerification(t.Context(), &authv1.ResendVerificationRequest{Email: "root@example.org"})
	authtest.Must(t, err)
	_, token := p.Link(t, "root@example.org", "Finish your sign-up")
	authtest.Must(t, p.ResetPassword(t, token, authtest.OtherPassword))
	authtest.Must(t, p.TryPassword(t, "root@example.org", authtest.OtherPassword))
}

// The client can request another email for a sign-up whose email was lost.
func TestResendVerification_PendingSignUp_SendsAnotherEmail(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), true)
	p.RequestSignUp(t, authtest.Ada, authtest.Password)
	_, first := p.Link(t, authtest.Ada, "Confirm your address")
	_, err := p.Emails.ResendVerification(t.Context(), &authv1.ResendVerificationRequest{Email: authtest.Ada})
	authtest.Must(t, err)
	page, token := p.Link(t, authtest.Ada, "Finish your sign-up")
	if page != "/account/reset" {
		t.Errorf("the link leads to %s", page)
	}
	authtest.Must(t, p.ResetPassword(t, token, authtest.OtherPassword))
	authtest.Must(t, p.TryPassword(t, authtest.Ada, authtest.OtherPassword))
	authtest.WantReason(t, p.VerifyEmail(t, first), faultv1.Reason_REASON_TOKEN_INVALID)
}

// A link that was requested from within the account only confirms the address.
func TestSendVerification_KeepsSession(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	tokens, _ := p.SignUp(t, authtest.Ada)
	_, first := p.Link(t, authtest.Ada, "Confirm your address")
	p.Server.Forget()
	_, err := p.Emails.SendVerification(authtest.With(t.Context(), tokens), &authv1.SendVerificationRequest{})
	authtest.Must(t, err)
	_, second := p.Link(t, authtest.Ada, "Confirm your address")
	authtest.WantReason(t, p.VerifyEmail(t, first), faultv1.Reason_REASON_TOKEN_INVALID)
	authtest.Must(t, p.VerifyEmail(t, second))
	me, err := p.Accounts.GetMe(authtest.With(t.Context(), tokens), &authv1.GetMeRequest{})
	authtest.Must(t, err)
	if !me.GetEmailVerified() {
		t.Error("the address is not confirmed")
	}
}

func TestS18NewAddressIsConfirmedAndOldOneInformed(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	tokens, _ := p.SignUp(t, authtest.Ada)
	ctx := authtest.With(t.Context(), tokens)
	_, err := p.Emails.ChangeEmail(ctx, &authv1.ChangeEmailRequest{NewEmail: "new@example.org", Password: authtest.OtherPassword})
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	p.ForgotPassword(t, authtest.Ada)
	_, old := p.Link(t, authtest.Ada, "Choose a new password")
	_, err = p.Emails.ChangeEmail(ctx, &authv1.ChangeEmailRequest{NewEmail: "new@example.org", Password: authtest.Password})
	authtest.Must(t, err)
	_, token := p.Link(t, "new@example.org", "Confirm your new address")
	p.Server.Wait(t, authtest.Ada, "A new address was requested")
	authtest.Must(t, p.TryPassword(t, authtest.Ada, authtest.Password))
	authtest.Must(t, p.VerifyEmail(t, token))
	told := p.Server.Wait(t, authtest.Ada, "Your address was changed")
	if !strings.Contains(told.Text, "new@example.org") {
		t.Errorf("the email to the old address is %s", told.Text)
	}
	authtest.Must(t, p.TryPassword(t, "new@example.org", authtest.Password))
	authtest.WantReason(t, p.TryPassword(t, authtest.Ada, authtest.Password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
	authtest.WantReason(t, p.ResetPassword(t, old, authtest.OtherPassword), faultv1.Reason_REASON_TOKEN_INVALID)
	authtest.WantReason(t, p.VerifyEmail(t, token), faultv1.Reason_REASON_TOKEN_INVALID)
}

// S18: a user who changes the password because somebody else knows it also cancels that
// person's change of address, even when its email is still queued.
func TestS18NewPasswordCancelsChangeOfAddress(t *testing.T) {
	t.Parallel()
	changed := func(t *testing.T, p *authtest.Mail, tokens *authv1.TokenResponse) {
		t.Helper()
		_, err := p.Accounts.ChangePassword(authtest.With(t.Context(), tokens), &authv1.ChangePasswordRequest{CurrentPassword: authtest.Password, NewPassword: authtest.OtherPassword})
		authtest.Must(t, err)
	}
	ask := func(t *testing.T, p *authtest.Mail, tokens *authv1.TokenResponse) {
		t.Helper()
		_, err := p.Emails.ChangeEmail(authtest.With(t.Context(), tokens), &authv1.ChangeEmailRequest{NewEmail: "eve@example.org", Password: authtest.Password})
		authtest.Must(t, err)
	}
	t.Run("the email was sent", func(t *testing.T) {
		t.Parallel()
		p := authtest.SetupMail(t, clock.System(), false)
		tokens, _ := p.SignUp(t, authtest.Ada)
		ask(t, p, p.SignIn(t, authtest.Ada))
		_, token := p.Link(t, "eve@example.org", "Confirm your new address")
		changed(t, p, tokens)
		authtest.WantReason(t, p.VerifyEmail(t, token), faultv1.Reason_REASON_TOKEN_INVALID)
		authtest.Must(t, p.TryPassword(t, authtest.Ada, authtest.OtherPassword))
	})
	t.Run("the email is queued", func(t *testing.T) {
		t.Parallel()
		server := mailtest.Start(t)
		b := authtest.SetupWith(t, clock.System(), auth.Config{Messages: notify.Config{SMTPURL: server.URL()}})
		p := &authtest.Mail{Bundle: b, Server: server, Emails: authv1.NewEmailServiceClient(b.Conn)}
		tokens, _ := p.SignUp(t, authtest.Ada)
		ask(t, p, p.SignIn(t, authtest.Ada))
		changed(t, p, tokens)
		p.RunService(t)
		server.Wait(t, authtest.Ada, "Your password was changed")
		server.Wait(t, authtest.Ada, "A new address was requested")
		if tokens := authtest.AdminText(t, b, "SELECT coalesce(string_agg(address, ' '), '') FROM auth.mail_tokens WHERE purpose = 'change'"); tokens != "" {
			_, token := p.Link(t, "eve@example.org", "Confirm your new address")
			authtest.WantReason(t, p.VerifyEmail(t, token), faultv1.Reason_REASON_TOKEN_INVALID)
		}
		authtest.Must(t, p.TryPassword(t, authtest.Ada, authtest.OtherPassword))
	})
}

func TestS14ChangeToTakenAddressHasSameResponse(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	p.SignUp(t, authtest.Ada)
	tokens, _ := p.SignUp(t, "bea@example.org")
	_, err := p.Emails.ChangeEmail(authtest.With(t.Context(), tokens), &authv1.ChangeEmailRequest{NewEmail: authtest.Ada, Password: authtest.Password})
	authtest.Must(t, err)
	if m := p.Server.Wait(t, authtest.Ada, "Your address was requested for another account"); authtest.LinkPattern.MatchString(m.Text) {
		t.Error("the owner of the address got a link")
	}
}

func TestS73DatabaseCopyHasNoUsableLink(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), true)
	p.RequestSignUp(t, authtest.Ada, authtest.Password)
	_, sent := p.Link(t, authtest.Ada, "Confirm your address")
	dump := authtest.AdminText(t, p.Bundle, `SELECT (SELECT string_agg(m::text, ' ') FROM auth.mail_tokens m)
		|| (SELECT string_agg(j::text, ' ') FROM jobs_auth.river_job j)`)
	if strings.Contains(dump, sent) || strings.Contains(dump, authtest.Password) {
		t.Error("a token is stored in plain text")
	}
	stored := authtest.AdminText(t, p.Bundle, "SELECT encode(token_hash, 'hex') FROM auth.mail_tokens")
	authtest.WantReason(t, p.VerifyEmail(t, stored), faultv1.Reason_REASON_TOKEN_INVALID)
	authtest.Must(t, p.VerifyEmail(t, sent))
}

// S78: an email about a disabled user is not sent.
func TestS78DisabledUserGetsNoEmail(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	p.SignUp(t, authtest.Ada)
	p.Server.Wait(t, authtest.Ada, "Confirm your address")
	p.Server.Forget()
	p.Database.AdminExec(t, "UPDATE auth.users SET disabled = true")
	p.ForgotPassword(t, authtest.Ada)
	p.WaitDelivered(t, 2)
	if mails := p.Server.Mails(); len(mails) > 0 {
		t.Errorf("sent %v", mails)
	}
}

// Expired links are deleted, and the counts of past hours.
func TestSweep_DeletesExpiredLinksAndCounts(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := authtest.SetupMail(t, clk, true)
	p.RequestSignUp(t, authtest.Ada, authtest.Password)
	p.Link(t, authtest.Ada, "Confirm your address")
	const left = "SELECT ((SELECT count(*) FROM auth.mail_tokens) + (SELECT count(*) FROM auth.letter_counts))::text"
	if n := authtest.AdminText(t, p.Bundle, left); n != "2" {
		t.Errorf("%s rows are left", n)
	}
	authtest.WaitFor(t, func() bool {
		clk.Advance(email.VerifyTTL)
		return authtest.AdminText(t, p.Bundle, left) == "0"
	})
}
