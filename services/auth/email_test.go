package auth_test

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/mailtest"
	"github.com/gatehouse/gatehouse/platform/notify"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/identity/email"
)

const (
	ada    = "ada@example.org"
	theirs = "another fine battery horse"
)

// mail is the service with a mail server.
type mail struct {
	*bundle
	server *mailtest.Server
	emails authv1.EmailServiceClient
}

func setupMail(t *testing.T, clk clock.Clock, verified bool) *mail {
	t.Helper()
	return setupMailWith(t, clk, auth.Config{VerifiedEmail: verified})
}

// setupMailWith is setupPost with what a test sets of the configuration.
func setupMailWith(t *testing.T, clk clock.Clock, cfg auth.Config) *mail {
	t.Helper()
	server := mailtest.Start(t)
	p := setupMailAt(t, clk, cfg, server.URL())
	p.server = server
	return p
}

// setupMailAt is setupPostWith a mail server that may not be there yet.
func setupMailAt(t *testing.T, clk clock.Clock, cfg auth.Config, url string) *mail {
	t.Helper()
	cfg.RateLimits, cfg.Messages.SMTPURL = true, url
	p := &mail{bundle: setupWith(t, clk, cfg)}
	p.emails = authv1.NewEmailServiceClient(p.conn)
	p.runService(t)
	return p
}

// runService delivers letters until the test ends.
func (b *bundle) runService(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- b.service.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

var codePattern = regexp.MustCompile(`http://gatehouse\.test(/account/[a-z-]+)\?code=([A-Za-z0-9_-]{43})\b`)

// link waits for a mail with a link, and returns its page and its token.
func (p *mail) link(t *testing.T, to, subject string) (page, token string) {
	t.Helper()
	m := p.server.Wait(t, to, subject)
	found := codePattern.FindStringSubmatch(m.Text)
	if found == nil || !strings.Contains(m.HTML, found[0]) {
		t.Fatalf("the mail %q has no link: %s", subject, m.Text)
	}
	return found[1], found[2]
}

func (p *mail) forgotPassword(t *testing.T, address string) {
	t.Helper()
	_, err := p.emails.ForgotPassword(t.Context(), &authv1.ForgotPasswordRequest{Email: address})
	must(t, err)
}

func (p *mail) verifyEmail(t *testing.T, token string) error {
	t.Helper()
	_, err := p.emails.VerifyEmail(t.Context(), &authv1.VerifyEmailRequest{Token: token})
	return err
}

func (p *mail) resetPassword(t *testing.T, token, newPassword string) error {
	t.Helper()
	_, err := p.emails.ResetPassword(t.Context(), &authv1.ResetPasswordRequest{Token: token, Password: newPassword})
	return err
}

func (p *mail) tryPassword(t *testing.T, address, with string) error {
	t.Helper()
	_, err := p.sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: address, Password: with})
	return err
}

func (p *mail) requestSignUp(t *testing.T, address, with string) {
	t.Helper()
	answer, err := p.sessions.SignUp(t.Context(), &authv1.SignUpRequest{Email: address, Password: with, DisplayName: "Somebody"})
	must(t, err)
	if answer.GetAccessToken() != "" || answer.GetRefreshToken() != "" || answer.GetUser() != nil {
		t.Errorf("a sign-up to be confirmed is answered %v", answer)
	}
}

func TestS14SignUpAnswersAlikeAndTheMailTells(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), true)
	p.requestSignUp(t, ada, password)
	page, token := p.link(t, ada, "Confirm your address")
	if page != "/account/verify" {
		t.Errorf("the link leads to %s", page)
	}
	wantReason(t, p.tryPassword(t, ada, password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
	must(t, p.verifyEmail(t, token))
	wantReason(t, p.verifyEmail(t, token), faultv1.Reason_REASON_TOKEN_INVALID)
	tokens := p.signIn(t, ada)
	if u := tokens.GetUser(); !u.GetEmailVerified() || u.GetEmail() != ada || u.GetDisplayName() != "Somebody" {
		t.Errorf("signed in as %v", u)
	}
	// The same once more, in another spelling and with another password: nothing
	// changes, and the mail tells.
	p.requestSignUp(t, "ADA@Example.org", theirs)
	notice := p.server.Wait(t, "ADA@Example.org", "You have an account already")
	if codePattern.MatchString(notice.Text) {
		t.Error("the notice has a link")
	}
	wantReason(t, p.tryPassword(t, ada, theirs), faultv1.Reason_REASON_INVALID_CREDENTIALS)
}

// Known or not, a request does the same in the database: it takes a letter.
func TestS14AskingIsTheSameWorkForAnyAddress(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	p.signUp(t, ada)
	p.server.Wait(t, ada, "Confirm your address")
	traces := func() string {
		return adminText(t, p.bundle, `SELECT sum(letters) || ' letters, ' || (SELECT count(*) FROM jobs_auth.river_job) || ' jobs of '
			|| (SELECT count(DISTINCT length(args::text)) FROM jobs_auth.river_job WHERE kind = 'deliver_letter' AND id > 1) || ' sizes'
			FROM auth.letter_counts`)
	}
	for i, address := range []string{"eve@example.org", ada} { // as long as each other
		p.forgotPassword(t, address)
		_, err := p.emails.ResendVerification(t.Context(), &authv1.ResendVerificationRequest{Email: address})
		must(t, err)
		if got, want := traces(), []string{"3 letters, 3 jobs of 1 sizes", "5 letters, 5 jobs of 1 sizes"}[i]; got != want {
			t.Errorf("asking for %s left %s, want %s", address, got, want)
		}
	}
	p.link(t, ada, "Choose a new password")
	for _, m := range p.server.Mails() {
		if m.To != ada {
			t.Errorf("a mail went to %s: %s", m.To, m.Subject)
		}
	}
}

func TestS15ResetTokensWorkOnceTheNewestForHalfAnHour(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := setupMail(t, clk, false)
	p.signUp(t, ada)
	p.forgotPassword(t, ada)
	_, first := p.link(t, ada, "Choose a new password")
	p.server.Forget()
	p.forgotPassword(t, ada)
	_, second := p.link(t, ada, "Choose a new password")
	wantReason(t, p.resetPassword(t, first, theirs), faultv1.Reason_REASON_TOKEN_INVALID)
	wantReason(t, p.resetPassword(t, "anything", theirs), faultv1.Reason_REASON_TOKEN_INVALID)
	wantReason(t, p.verifyEmail(t, second), faultv1.Reason_REASON_TOKEN_INVALID)
	// A password that is refused uses nothing up.
	wantReason(t, p.resetPassword(t, second, "ada@example.org"), faultv1.Reason_REASON_INVALID_ARGUMENT)
	must(t, p.resetPassword(t, second, theirs))
	wantReason(t, p.resetPassword(t, second, theirs), faultv1.Reason_REASON_TOKEN_INVALID)
	p.server.Forget()
	p.forgotPassword(t, ada)
	_, third := p.link(t, ada, "Choose a new password")
	clk.Advance(email.ResetTTL)
	wantReason(t, p.resetPassword(t, third, password), faultv1.Reason_REASON_TOKEN_INVALID)
	must(t, p.tryPassword(t, ada, theirs))
}

func TestS15AResetEndsSessionsAndKeysAndKeepsFactors(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	tokens, who := p.signUp(t, ada)
	_, token := p.link(t, ada, "Confirm your address")
	must(t, p.verifyEmail(t, token))
	_, err := p.apiKeys.CreateApiKey(with(t.Context(), tokens), &authv1.CreateApiKeyRequest{ApiKey: &authv1.ApiKey{DisplayName: "mine", Scopes: []string{"members.read"}}})
	must(t, err)
	p.enrollDirectly(t, who.UserID)
	p.forgotPassword(t, ada)
	_, token = p.link(t, ada, "Choose a new password")
	must(t, p.resetPassword(t, token, theirs))
	p.server.Wait(t, ada, "Your password was reset")
	_, err = p.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	if n := adminText(t, p.bundle, "SELECT count(*)::text FROM auth.revocations WHERE session_id = $1", who.SessionID); n != "1" {
		t.Errorf("%s revocations of the session", n)
	}
	if n := adminText(t, p.bundle, "SELECT count(*)::text FROM auth.api_keys"); n != "0" {
		t.Errorf("%s API keys are left", n)
	}
	wantReason(t, p.tryPassword(t, ada, password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
	answer, err := p.sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: ada, Password: theirs})
	must(t, err)
	if answer.GetMfaChallenge().GetId() == "" || answer.GetAccessToken() != "" {
		t.Error("the second factor is skipped after a reset")
	}
}

// enrollDirectly gives a user an authenticator.
func (p *mail) enrollDirectly(t *testing.T, userID string) {
	t.Helper()
	p.database.AdminExec(t, `INSERT INTO auth.totp_factors (id, user_id, sealed, confirmed_at, created_at)
		VALUES (gen_random_uuid(), $1, '\x00', now(), now())`, userID)
}

func TestS15OfRacingResetsOneWins(t *testing.T) {
	t.Parallel()
	const racers = 8
	p := setupMail(t, clock.System(), false)
	p.signUp(t, ada)
	p.forgotPassword(t, ada)
	_, token := p.link(t, ada, "Choose a new password")
	errs := make([]error, racers)
	var group sync.WaitGroup
	for i := range racers {
		group.Go(func() { errs[i] = p.resetPassword(t, token, theirs) })
	}
	group.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		wantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	}
	if won != 1 {
		t.Errorf("%d of %d won", won, racers)
	}
}

// Where addresses need not be confirmed, somebody may sit on another's.
func TestS16TheOwnerOfAnAddressPutsTheSquatterOut(t *testing.T) {
	t.Parallel()
	ways := map[string]struct {
		ask     func(t *testing.T, p *mail)
		subject string
	}{
		"forgot": {func(t *testing.T, p *mail) { t.Helper(); p.forgotPassword(t, ada) }, "Choose a new password"},
		"resend": {func(t *testing.T, p *mail) {
			t.Helper()
			_, err := p.emails.ResendVerification(t.Context(), &authv1.ResendVerificationRequest{Email: ada})
			must(t, err)
		}, "Finish your sign-up"},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setupMail(t, clock.System(), false)
			squatter, who := p.signUp(t, ada)
			_, err := p.apiKeys.CreateApiKey(with(t.Context(), squatter), &authv1.CreateApiKeyRequest{ApiKey: &authv1.ApiKey{DisplayName: "theirs", Scopes: []string{"members.read"}}})
			must(t, err)
			p.enrollDirectly(t, who.UserID)
			way.ask(t, p)
			_, token := p.link(t, ada, way.subject)
			must(t, p.resetPassword(t, token, theirs))
			wantReason(t, p.tryPassword(t, ada, password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
			_, err = p.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: squatter.GetRefreshToken()})
			wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
			answer, err := p.sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: ada, Password: theirs})
			must(t, err)
			if answer.GetAccessToken() == "" || !answer.GetUser().GetEmailVerified() {
				t.Errorf("the owner is answered %v", answer)
			}
			if n := adminText(t, p.bundle, "SELECT ((SELECT count(*) FROM auth.api_keys) + (SELECT count(*) FROM auth.totp_factors))::text"); n != "0" {
				t.Errorf("%s keys and factors of the squatter are left", n)
			}
		})
	}
}

// Where they must be, each sign-up waits with its own password: the link that its
// reader opens is the one that counts.
func TestS16EachSignUpIsConfirmedByItsOwnLink(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), true)
	p.requestSignUp(t, ada, password)
	_, squatters := p.link(t, ada, "Confirm your address")
	p.server.Forget()
	p.requestSignUp(t, ada, theirs)
	_, owners := p.link(t, ada, "Confirm your address")
	must(t, p.verifyEmail(t, owners))
	wantReason(t, p.verifyEmail(t, squatters), faultv1.Reason_REASON_TOKEN_INVALID)
	wantReason(t, p.tryPassword(t, ada, password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
	must(t, p.tryPassword(t, ada, theirs))
}

// An account from before confirming was required gets in by its mail alone.
func TestS16AnUnconfirmedAccountIsRefusedUntilItsOwnerChoosesAPassword(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), true)
	_, err := p.service.EnsureOperator(t.Context())
	must(t, err)
	p.database.AdminExec(t, "UPDATE auth.users SET email_verified = false")
	wantReason(t, p.tryPassword(t, "root@example.org", password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
	_, err = p.emails.ResendVerification(t.Context(), &authv1.ResendVerificationRequest{Email: "root@example.org"})
	must(t, err)
	_, token := p.link(t, "root@example.org", "Finish your sign-up")
	must(t, p.resetPassword(t, token, theirs))
	must(t, p.tryPassword(t, "root@example.org", theirs))
}

// A sign-up whose mail was lost can ask for another one.
func TestASignUpCanAskForAnotherMail(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), true)
	p.requestSignUp(t, ada, password)
	_, first := p.link(t, ada, "Confirm your address")
	_, err := p.emails.ResendVerification(t.Context(), &authv1.ResendVerificationRequest{Email: ada})
	must(t, err)
	page, token := p.link(t, ada, "Finish your sign-up")
	if page != "/account/reset" {
		t.Errorf("the link leads to %s", page)
	}
	must(t, p.resetPassword(t, token, theirs))
	must(t, p.tryPassword(t, ada, theirs))
	wantReason(t, p.verifyEmail(t, first), faultv1.Reason_REASON_TOKEN_INVALID)
}

// A link that was asked for from within the account leaves all as it is.
func TestConfirmingOnesOwnAddressKeepsTheSession(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	tokens, _ := p.signUp(t, ada)
	_, first := p.link(t, ada, "Confirm your address")
	p.server.Forget()
	_, err := p.emails.SendVerification(with(t.Context(), tokens), &authv1.SendVerificationRequest{})
	must(t, err)
	_, second := p.link(t, ada, "Confirm your address")
	wantReason(t, p.verifyEmail(t, first), faultv1.Reason_REASON_TOKEN_INVALID)
	must(t, p.verifyEmail(t, second))
	me, err := p.accounts.GetMe(with(t.Context(), tokens), &authv1.GetMeRequest{})
	must(t, err)
	if !me.GetEmailVerified() {
		t.Error("the address is not confirmed")
	}
}

func TestS18ANewAddressIsConfirmedThereAndAnnouncedAtTheOldOne(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	tokens, _ := p.signUp(t, ada)
	ctx := with(t.Context(), tokens)
	_, err := p.emails.ChangeEmail(ctx, &authv1.ChangeEmailRequest{NewEmail: "new@example.org", Password: theirs})
	wantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	p.forgotPassword(t, ada)
	_, old := p.link(t, ada, "Choose a new password")
	_, err = p.emails.ChangeEmail(ctx, &authv1.ChangeEmailRequest{NewEmail: "new@example.org", Password: password})
	must(t, err)
	_, token := p.link(t, "new@example.org", "Confirm your new address")
	p.server.Wait(t, ada, "A new address was asked for")
	must(t, p.tryPassword(t, ada, password))
	must(t, p.verifyEmail(t, token))
	told := p.server.Wait(t, ada, "Your address was changed")
	if !strings.Contains(told.Text, "new@example.org") {
		t.Errorf("the old address is told %s", told.Text)
	}
	must(t, p.tryPassword(t, "new@example.org", password))
	wantReason(t, p.tryPassword(t, ada, password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
	wantReason(t, p.resetPassword(t, old, theirs), faultv1.Reason_REASON_TOKEN_INVALID)
	wantReason(t, p.verifyEmail(t, token), faultv1.Reason_REASON_TOKEN_INVALID)
}

// S18: whoever changes the password because somebody else knows it takes back what that
// one asked for, also where the mail is still to be written.
func TestS18ANewPasswordEndsAChangeOfAddress(t *testing.T) {
	t.Parallel()
	changed := func(t *testing.T, p *mail, tokens *authv1.TokenResponse) {
		t.Helper()
		_, err := p.accounts.ChangePassword(with(t.Context(), tokens), &authv1.ChangePasswordRequest{CurrentPassword: password, NewPassword: theirs})
		must(t, err)
	}
	ask := func(t *testing.T, p *mail, tokens *authv1.TokenResponse) {
		t.Helper()
		_, err := p.emails.ChangeEmail(with(t.Context(), tokens), &authv1.ChangeEmailRequest{NewEmail: "eve@example.org", Password: password})
		must(t, err)
	}
	t.Run("mailed", func(t *testing.T) {
		t.Parallel()
		p := setupMail(t, clock.System(), false)
		tokens, _ := p.signUp(t, ada)
		ask(t, p, p.signIn(t, ada))
		_, token := p.link(t, "eve@example.org", "Confirm your new address")
		changed(t, p, tokens)
		wantReason(t, p.verifyEmail(t, token), faultv1.Reason_REASON_TOKEN_INVALID)
		must(t, p.tryPassword(t, ada, theirs))
	})
	t.Run("waiting", func(t *testing.T) {
		t.Parallel()
		server := mailtest.Start(t)
		b := setupWith(t, clock.System(), auth.Config{Messages: notify.Config{SMTPURL: server.URL()}})
		p := &mail{bundle: b, server: server, emails: authv1.NewEmailServiceClient(b.conn)}
		tokens, _ := p.signUp(t, ada)
		ask(t, p, p.signIn(t, ada))
		changed(t, p, tokens)
		p.runService(t)
		server.Wait(t, ada, "Your password was changed")
		server.Wait(t, ada, "A new address was asked for")
		if tokens := adminText(t, b, "SELECT coalesce(string_agg(address, ' '), '') FROM auth.mail_tokens WHERE purpose = 'change'"); tokens != "" {
			_, token := p.link(t, "eve@example.org", "Confirm your new address")
			wantReason(t, p.verifyEmail(t, token), faultv1.Reason_REASON_TOKEN_INVALID)
		}
		must(t, p.tryPassword(t, ada, theirs))
	})
}

func TestS14AsAddressAnothersIsAnsweredAlike(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	p.signUp(t, ada)
	tokens, _ := p.signUp(t, "bea@example.org")
	_, err := p.emails.ChangeEmail(with(t.Context(), tokens), &authv1.ChangeEmailRequest{NewEmail: ada, Password: password})
	must(t, err)
	if m := p.server.Wait(t, ada, "An address was asked for twice"); codePattern.MatchString(m.Text) {
		t.Error("the owner of the address is sent a link")
	}
}

func TestAPasswordChangeIsTold(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	tokens, _ := p.signUp(t, ada)
	_, err := p.accounts.ChangePassword(with(t.Context(), tokens), &authv1.ChangePasswordRequest{CurrentPassword: password, NewPassword: theirs})
	must(t, err)
	p.server.Wait(t, ada, "Your password was changed")
}

// A letter too many is dropped without a word; letters of other kinds, and to
// others, are not.
func TestLettersToOneAddressAreBounded(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := setupMail(t, clk, false)
	p.signUp(t, ada)
	for range 7 {
		p.forgotPassword(t, "ADA@example.org")
	}
	_, err := p.emails.ResendVerification(t.Context(), &authv1.ResendVerificationRequest{Email: ada})
	must(t, err)
	p.waitDelivered(t, 9)
	clk.Advance(time.Hour)
	p.forgotPassword(t, ada)
	p.waitDelivered(t, 10)
	got := map[string]int{}
	for _, m := range p.server.Mails() {
		got[m.Subject]++
	}
	if got["Choose a new password"] != 6 || got["Finish your sign-up"] != 1 || got["Confirm your address"] != 1 {
		t.Errorf("got %v", got)
	}
}

// waitDelivered waits until so many letters have been dealt with.
func (p *mail) waitDelivered(t *testing.T, n int) {
	t.Helper()
	waitFor(t, func() bool {
		return adminText(t, p.bundle, "SELECT count(*)::text FROM jobs_auth.river_job WHERE state = 'completed'") == strconv.Itoa(n)
	})
}

// While the mail server is away, sign-up works, and what waits for it holds
// nothing that a dump or a log would give away.
func TestS74LettersWaitSealedForAMailServerThatIsDown(t *testing.T) {
	t.Parallel()
	address := mailtest.Reserve(t)
	p := setupMailAt(t, clock.System(), auth.Config{VerifiedEmail: true}, mailtest.URLAt(address))
	p.requestSignUp(t, ada, password)
	waitFor(t, func() bool {
		return adminText(t, p.bundle, "SELECT count(*)::text FROM jobs_auth.river_job WHERE cardinality(errors) > 0") == "1"
	})
	waiting := adminText(t, p.bundle, "SELECT string_agg(j::text, ' ') FROM jobs_auth.river_job j")
	for _, secret := range []string{password, "argon2", "example.org", "Somebody", "code="} {
		if strings.Contains(waiting, secret) {
			t.Errorf("what waits holds %q: %s", secret, waiting)
		}
	}
	p.server = mailtest.StartAt(t, address)
	_, token := p.link(t, ada, "Confirm your address")
	must(t, p.verifyEmail(t, token))
	must(t, p.tryPassword(t, ada, password))
}

func TestS73ADumpHoldsNoLinkThatWorks(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), true)
	p.requestSignUp(t, ada, password)
	_, sent := p.link(t, ada, "Confirm your address")
	dump := adminText(t, p.bundle, `SELECT (SELECT string_agg(m::text, ' ') FROM auth.mail_tokens m)
		|| (SELECT string_agg(j::text, ' ') FROM jobs_auth.river_job j)`)
	if strings.Contains(dump, sent) || strings.Contains(dump, password) {
		t.Error("a token rests in the clear")
	}
	stored := adminText(t, p.bundle, "SELECT encode(token_hash, 'hex') FROM auth.mail_tokens")
	wantReason(t, p.verifyEmail(t, stored), faultv1.Reason_REASON_TOKEN_INVALID)
	must(t, p.verifyEmail(t, sent))
}

// S78: a letter about a user who may not sign in any more is not written.
func TestS78LettersAboutADisabledUserAreNotWritten(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	p.signUp(t, ada)
	p.server.Wait(t, ada, "Confirm your address")
	p.server.Forget()
	p.database.AdminExec(t, "UPDATE auth.users SET disabled = true")
	p.forgotPassword(t, ada)
	p.waitDelivered(t, 2)
	if mails := p.server.Mails(); len(mails) > 0 {
		t.Errorf("got %v", mails)
	}
}

// What is over goes: links that expired, and counts of hours that passed.
func TestWhatIsOverIsRemoved(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := setupMail(t, clk, true)
	p.requestSignUp(t, ada, password)
	p.link(t, ada, "Confirm your address")
	const left = "SELECT ((SELECT count(*) FROM auth.mail_tokens) + (SELECT count(*) FROM auth.letter_counts))::text"
	if n := adminText(t, p.bundle, left); n != "2" {
		t.Errorf("%s rows are kept", n)
	}
	waitFor(t, func() bool {
		clk.Advance(email.VerifyTTL)
		return adminText(t, p.bundle, left) == "0"
	})
}

// Without an outbox, which only local has, it is as if there were no such route.
func TestTheOutboxIsOfLocalAlone(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	_, err := authv1.NewOutboxServiceClient(p.conn).ListOutbox(t.Context(), &authv1.ListOutboxRequest{})
	wantReason(t, err, faultv1.Reason_REASON_ROUTE_NOT_FOUND)
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	ticker, deadline := time.NewTicker(20*time.Millisecond), time.After(30*time.Second)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("it did not come to that")
		}
	}
}
