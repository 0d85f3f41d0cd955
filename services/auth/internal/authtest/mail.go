package authtest

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/mailtest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/identity/email"
)

const (
	// Ada is the address of the first test account.
	Ada = "ada@example.org"
	// OtherPassword is a password that is not [Password].
	OtherPassword = "another fine battery horse"
)

// Mail is the service with a mail server.
type Mail struct {
	*Bundle
	Server *mailtest.Server
	Emails authv1.EmailServiceClient
}

// SetupMail starts the service with a mail server. verified sets Config.VerifiedEmail.
func SetupMail(t *testing.T, clk clock.Clock, verified bool) *Mail {
	t.Helper()
	return SetupMailWith(t, clk, auth.Config{VerifiedEmail: verified})
}

// SetupMailWith is [SetupMail] with the fields of the configuration that a test sets.
func SetupMailWith(t *testing.T, clk clock.Clock, cfg auth.Config) *Mail {
	t.Helper()
	server := mailtest.Start(t)
	p := SetupMailAt(t, clk, cfg, server.URL())
	p.Server = server
	return p
}

// SetupMailAt is [SetupMailWith] with a mail server that may not run yet.
func SetupMailAt(t *testing.T, clk clock.Clock, cfg auth.Config, url string) *Mail {
	t.Helper()
	cfg.RateLimits, cfg.Messages.SMTPURL = true, url
	p := &Mail{Bundle: SetupWith(t, clk, cfg)}
	p.Emails = authv1.NewEmailServiceClient(p.Conn)
	p.RunService(t)
	return p
}

// RunService runs the service's background work until the test ends.
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

// LinkPattern matches the link of an email: its page and its token.
var LinkPattern = regexp.MustCompile(`http://gatehouse\.test(/account/[a-z-]+)\?code=([A-Za-z0-9_-]{43})\b`)

// Link waits for an email with a link, and returns the link's page and token.
func (p *Mail) Link(t *testing.T, to, subject string) (page, token string) {
	t.Helper()
	m := p.Server.Wait(t, to, subject)
	found := LinkPattern.FindStringSubmatch(m.Text)
	if found == nil || !strings.Contains(m.HTML, found[0]) {
		t.Fatalf("the mail %q has no link: %s", subject, m.Text)
	}
	return found[1], found[2]
}

// ForgotPassword requests an email that resets the password of an address.
func (p *Mail) ForgotPassword(t *testing.T, address string) {
	t.Helper()
	_, err := p.Emails.ForgotPassword(t.Context(), &authv1.ForgotPasswordRequest{Email: address})
	Must(t, err)
}

// VerifyEmail confirms an address with the token of a link.
func (p *Mail) VerifyEmail(t *testing.T, token string) error {
	t.Helper()
	_, err := p.Emails.VerifyEmail(t.Context(), &authv1.VerifyEmailRequest{Token: token})
	return err
}

// ResetPassword sets a password with the token of a link.
func (p *Mail) ResetPassword(t *testing.T, token, newPassword string) error {
	t.Helper()
	_, err := p.Emails.ResetPassword(t.Context(), &authv1.ResetPasswordRequest{Token: token, Password: newPassword})
	return err
}

// TryPassword signs in with a password.
func (p *Mail) TryPassword(t *testing.T, address, with string) error {
	t.Helper()
	_, err := p.Sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: address, Password: with})
	return err
}

// RequestSignUp signs up where the address must be confirmed first.
func (p *Mail) RequestSignUp(t *testing.T, address, with string) {
	t.Helper()
	answer, err := p.Sessions.SignUp(t.Context(), &authv1.SignUpRequest{Email: address, Password: with, DisplayName: "Somebody"})
	Must(t, err)
	if answer.GetAccessToken() != "" || answer.GetRefreshToken() != "" || answer.GetUser() != nil {
		t.Errorf("a sign-up to be confirmed is answered %v", answer)
	}
}

// EnrollDirectly gives a user an authenticator by writing it to the database.
func (p *Mail) EnrollDirectly(t *testing.T, userID string) {
	t.Helper()
	p.Database.AdminExec(t, `INSERT INTO auth.totp_factors (id, user_id, sealed, confirmed_at, created_at)
		VALUES (gen_random_uuid(), $1, '\x00', now(), now())`, userID)
}

// WaitDelivered waits until n emails have been handled.
func (p *Mail) WaitDelivered(t *testing.T, n int) {
	t.Helper()
	WaitFor(t, func() bool {
		return AdminText(t, p.Bundle, "SELECT count(*)::text FROM jobs_auth.river_job WHERE state = 'completed'") == strconv.Itoa(n)
	})
}

// WaitFor waits until a condition holds.
func WaitFor(t *testing.T, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !holds() {
		if clock.Sleep(ctx, clock.System(), 20*time.Millisecond) != nil {
			t.Fatal("the condition did not hold in time")
		}
	}
}

// SignInSubject is the subject of the email that signs its reader in.
const SignInSubject = "Sign in to Gatehouse"

// CodePattern matches the code of an email.
var CodePattern = regexp.MustCompile(`(?m)^(\d{6})\r?$`)

// SignInMail is a sign-in by email: the challenge that the client got, and the code and the
// token in the email.
type SignInMail struct{ Challenge, Code, Token string }

// BeginEmailSignIn requests an email that signs its reader in, and returns the challenge.
func (p *Mail) BeginEmailSignIn(t *testing.T, address string) string {
	t.Helper()
	answer, err := p.Sessions.BeginEmailSignIn(t.Context(), &authv1.BeginEmailSignInRequest{Email: address})
	Must(t, err)
	if len(answer.GetChallengeId()) != 43 || answer.GetExpiresIn() != int32(email.SignInTTL.Seconds()) {
		t.Errorf("answered %v", answer)
	}
	return answer.GetChallengeId()
}

// ReadSignInMail requests an email that signs its reader in, and reads it.
func (p *Mail) ReadSignInMail(t *testing.T, address string) SignInMail {
	t.Helper()
	p.Server.Forget()
	out := SignInMail{Challenge: p.BeginEmailSignIn(t, address)}
	page, token := p.Link(t, address, SignInSubject)
	found := CodePattern.FindStringSubmatch(p.Server.Wait(t, address, SignInSubject).Text)
	if page != "/account/sign-in" || found == nil {
		t.Fatalf("the link leads to %s, and the code is %v", page, found)
	}
	out.Code, out.Token = found[1], token
	return out
}

// FinishCode signs in with the code of an email.
func (p *Mail) FinishCode(ctx context.Context, challenge, code string) (*authv1.TokenResponse, error) {
	return p.Sessions.FinishEmailSignIn(ctx, &authv1.FinishEmailSignInRequest{
		ChallengeId: challenge, Credential: &authv1.FinishEmailSignInRequest_Code{Code: code},
	})
}

// FinishLink finishes linking an identity. It uses no other credential.
func (p *Mail) FinishLink(ctx context.Context, token string) (*authv1.TokenResponse, error) {
	return p.Sessions.FinishEmailSignIn(ctx, &authv1.FinishEmailSignInRequest{
		Credential: &authv1.FinishEmailSignInRequest_Token{Token: token},
	})
}

// WantWrongCode fails the test unless a wrong code is refused.
func (p *Mail) WantWrongCode(t *testing.T, m SignInMail) {
	t.Helper()
	_, err := p.FinishCode(t.Context(), m.Challenge, OtherCode(m.Code))
	WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
}

// OtherCode returns another code of the same form.
func OtherCode(code string) string {
	last := "0"
	if strings.HasSuffix(code, last) {
		last = "1"
	}
	return code[:len(code)-1] + last
}

// SignUpConfirmed creates an account whose address is confirmed.
func (p *Mail) SignUpConfirmed(t *testing.T, address string) (*authv1.TokenResponse, *identity.Principal) {
	t.Helper()
	tokens, who := p.SignUp(t, address)
	_, token := p.Link(t, address, "Confirm your address")
	Must(t, p.VerifyEmail(t, token))
	return tokens, who
}
