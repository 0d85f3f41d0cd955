package authtest

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/mailtest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth"
)

const (
	Ada    = "ada@example.org"
	Theirs = "another fine battery horse"
)

// Mail is the service with a mail server.
type Mail struct {
	*Bundle
	Server *mailtest.Server
	Emails authv1.EmailServiceClient
}

func SetupMail(t *testing.T, clk clock.Clock, verified bool) *Mail {
	t.Helper()
	return SetupMailWith(t, clk, auth.Config{VerifiedEmail: verified})
}

// SetupMailWith is setupPost with what a test sets of the configuration.
func SetupMailWith(t *testing.T, clk clock.Clock, cfg auth.Config) *Mail {
	t.Helper()
	server := mailtest.Start(t)
	p := SetupMailAt(t, clk, cfg, server.URL())
	p.Server = server
	return p
}

// SetupMailAt is setupPostWith a mail server that may not be there yet.
func SetupMailAt(t *testing.T, clk clock.Clock, cfg auth.Config, url string) *Mail {
	t.Helper()
	cfg.RateLimits, cfg.Messages.SMTPURL = true, url
	p := &Mail{Bundle: SetupWith(t, clk, cfg)}
	p.Emails = authv1.NewEmailServiceClient(p.Conn)
	p.RunService(t)
	return p
}

// RunService delivers letters until the test ends.
func (b *Bundle) RunService(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- b.Service.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

var CodePattern = regexp.MustCompile(`http://gatehouse\.test(/account/[a-z-]+)\?code=([A-Za-z0-9_-]{43})\b`)

// Link waits for a mail with a link, and returns its page and its token.
func (p *Mail) Link(t *testing.T, to, subject string) (page, token string) {
	t.Helper()
	m := p.Server.Wait(t, to, subject)
	found := CodePattern.FindStringSubmatch(m.Text)
	if found == nil || !strings.Contains(m.HTML, found[0]) {
		t.Fatalf("the mail %q has no link: %s", subject, m.Text)
	}
	return found[1], found[2]
}

func (p *Mail) ForgotPassword(t *testing.T, address string) {
	t.Helper()
	_, err := p.Emails.ForgotPassword(t.Context(), &authv1.ForgotPasswordRequest{Email: address})
	Must(t, err)
}

func (p *Mail) VerifyEmail(t *testing.T, token string) error {
	t.Helper()
	_, err := p.Emails.VerifyEmail(t.Context(), &authv1.VerifyEmailRequest{Token: token})
	return err
}

func (p *Mail) ResetPassword(t *testing.T, token, newPassword string) error {
	t.Helper()
	_, err := p.Emails.ResetPassword(t.Context(), &authv1.ResetPasswordRequest{Token: token, Password: newPassword})
	return err
}

func (p *Mail) TryPassword(t *testing.T, address, with string) error {
	t.Helper()
	_, err := p.Sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: address, Password: with})
	return err
}

func (p *Mail) RequestSignUp(t *testing.T, address, with string) {
	t.Helper()
	answer, err := p.Sessions.SignUp(t.Context(), &authv1.SignUpRequest{Email: address, Password: with, DisplayName: "Somebody"})
	Must(t, err)
	if answer.GetAccessToken() != "" || answer.GetRefreshToken() != "" || answer.GetUser() != nil {
		t.Errorf("a sign-up to be confirmed is answered %v", answer)
	}
}

// EnrollDirectly gives a user an authenticator.
func (p *Mail) EnrollDirectly(t *testing.T, userID string) {
	t.Helper()
	p.Database.AdminExec(t, `INSERT INTO auth.totp_factors (id, user_id, sealed, confirmed_at, created_at)
		VALUES (gen_random_uuid(), $1, '\x00', now(), now())`, userID)
}

// WaitDelivered waits until so many letters have been dealt with.
func (p *Mail) WaitDelivered(t *testing.T, n int) {
	t.Helper()
	WaitFor(t, func() bool {
		return AdminText(t, p.Bundle, "SELECT count(*)::text FROM jobs_auth.river_job WHERE state = 'completed'") == strconv.Itoa(n)
	})
}

func WaitFor(t *testing.T, holds func() bool) {
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
