package email_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/email"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestFinishSignIn_CodeOrLink_WorksOnce(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	before, who := p.SignUpConfirmed(t, authtest.Ada)
	m := p.ReadSignInMail(t, authtest.Ada)
	tokens, err := p.FinishCode(t.Context(), m.Challenge, " "+m.Code[:3]+" "+m.Code[3:])
	authtest.Must(t, err)
	got := p.Principal(t, tokens)
	if got.UserID != who.UserID || got.OrganizationID != who.OrganizationID || !slices.Equal(got.Methods, []string{identity.MethodMail}) || tokens.GetRefreshToken() == "" {
		t.Errorf("signed in as %+v", got)
	}
	// Using the code uses up the link, and the reverse.
	_, err = p.FinishLink(t.Context(), m.Token)
	authtest.WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	m = p.ReadSignInMail(t, authtest.Ada)
	_, err = p.FinishLink(t.Context(), m.Token)
	authtest.Must(t, err)
	_, err = p.FinishCode(t.Context(), m.Challenge, m.Code)
	authtest.WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	// The credentials of the owner of a confirmed address stay.
	authtest.Must(t, p.TryPassword(t, authtest.Ada, authtest.Password))
	_, err = p.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: before.GetRefreshToken()})
	authtest.Must(t, err)
}

// S14: for any address, the response, the stored rows and the effect of a wrong code
// are the same.
func TestS14EmailSignInIsTheSameForAnyAddress(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	p.SignUp(t, "off@example.org")
	p.Database.AdminExec(t, "UPDATE auth.users SET disabled = true")
	p.SignUpConfirmed(t, authtest.Ada)
	p.Server.Forget()
	for i, address := range []string{authtest.Ada, "eve@example.org", "off@example.org"} {
		challenge := p.BeginEmailSignIn(t, address)
		p.WaitDelivered(t, 3+i)
		_, err := p.FinishCode(t.Context(), challenge, "12345")
		f := fault.From(err)
		if f.Reason() != faultv1.Reason_REASON_TOKEN_INVALID || f.Detail() != "the code or link is invalid or has expired: request another email" {
			t.Errorf("%s: %v", address, err)
		}
	}
	if got := authtest.AdminText(t, p.Bundle, "SELECT count(*) || ' of ' || sum(tries) || ' tries' FROM auth.mail_sign_ins"); got != "3 of 3 tries" {
		t.Errorf("the rows are %s", got)
	}
	if mails := p.Server.Mails(); len(mails) != 1 || mails[0].To != authtest.Ada {
		t.Errorf("mails: %v", mails)
	}
	if n := authtest.AdminText(t, p.Bundle, "SELECT count(*)::text FROM auth.users"); n != "2" {
		t.Errorf("%s users", n)
	}
}

// S16: the reader of an address that was never confirmed removes the credentials of the
// account's creator.
func TestS16EmailSignInRemovesSquattersCredentials(t *testing.T) {
	t.Parallel()
	for _, verified := range []bool{false, true} {
		p := authtest.SetupMail(t, clock.System(), false)
		squatter, who := p.SignUp(t, authtest.Ada)
		_, err := p.APIKeys.CreateApiKey(authtest.With(t.Context(), squatter), &authv1.CreateApiKeyRequest{ApiKey: &authv1.ApiKey{DisplayName: "theirs", Scopes: []string{"members.read"}}})
		authtest.Must(t, err)
		_, err = p.Emails.ChangeEmail(authtest.With(t.Context(), squatter), &authv1.ChangeEmailRequest{NewEmail: "eve@example.org", Password: authtest.Password})
		authtest.Must(t, err)
		_, change := p.Link(t, "eve@example.org", "Confirm your new address")
		p.EnrollDirectly(t, who.UserID)
		m := p.ReadSignInMail(t, authtest.Ada)
		var tokens *authv1.TokenResponse
		if verified {
			tokens, err = p.FinishLink(t.Context(), m.Token)
		} else {
			tokens, err = p.FinishCode(t.Context(), m.Challenge, m.Code)
		}
		authtest.Must(t, err)
		if tokens.GetAccessToken() == "" || !tokens.GetUser().GetEmailVerified() {
			t.Errorf("the owner's sign-in returned %v", tokens)
		}
		authtest.WantReason(t, p.TryPassword(t, authtest.Ada, authtest.Password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
		authtest.WantReason(t, p.TryPassword(t, authtest.Ada, ""), faultv1.Reason_REASON_INVALID_ARGUMENT)
		_, err = p.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: squatter.GetRefreshToken()})
		authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
		authtest.WantReason(t, p.VerifyEmail(t, change), faultv1.Reason_REASON_TOKEN_INVALID)
		if n := authtest.AdminText(t, p.Bundle, "SELECT ((SELECT count(*) FROM auth.api_keys) + (SELECT count(*) FROM auth.totp_factors))::text"); n != "0" {
			t.Errorf("%s keys and factors of the squatter are left", n)
		}
	}
}

// S36: five wrong codes end a challenge, and ten in an hour are the limit of an
// address. Its link still works.
func TestS36WrongEmailCodesAreLimited(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := authtest.SetupMail(t, clk, false)
	p.SignUpConfirmed(t, authtest.Ada)
	for range 2 {
		m := p.ReadSignInMail(t, authtest.Ada)
		for range 5 {
			p.WantWrongCode(t, m)
		}
		for _, finish := range []func() (*authv1.TokenResponse, error){
			func() (*authv1.TokenResponse, error) { return p.FinishCode(t.Context(), m.Challenge, m.Code) },
			func() (*authv1.TokenResponse, error) { return p.FinishLink(t.Context(), m.Token) },
		} {
			_, err := finish()
			authtest.WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
		}
	}
	m := p.ReadSignInMail(t, authtest.Ada)
	_, err := p.FinishCode(t.Context(), m.Challenge, m.Code)
	authtest.WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	_, err = p.FinishLink(t.Context(), m.Token)
	authtest.Must(t, err)
	clk.Advance(time.Hour)
	m = p.ReadSignInMail(t, authtest.Ada)
	_, err = p.FinishCode(t.Context(), m.Challenge, m.Code)
	authtest.Must(t, err)
}

// S36: of any number of concurrent attempts, five are checked.
func TestS36ConcurrentEmailCodesAreLimited(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	p.SignUpConfirmed(t, authtest.Ada)
	m := p.ReadSignInMail(t, authtest.Ada)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { _, _ = p.FinishCode(t.Context(), m.Challenge, authtest.OtherCode(m.Code)) })
	}
	group.Wait()
	if got := authtest.AdminText(t, p.Bundle, "SELECT tries || ' ' || wrong FROM auth.mail_sign_ins"); got != "5 5" {
		t.Errorf("%s were checked", got)
	}
}

func TestS37EmailSignsInOnceForItsChallenge(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := authtest.SetupMail(t, clk, false)
	p.SignUpConfirmed(t, authtest.Ada)
	p.SignUpConfirmed(t, "eve@example.org")
	eves := p.ReadSignInMail(t, "eve@example.org")
	first := p.ReadSignInMail(t, authtest.Ada)
	second := p.ReadSignInMail(t, authtest.Ada)
	refused := func(what string, err error) {
		t.Helper()
		if !fault.Is(err, faultv1.Reason_REASON_TOKEN_INVALID) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := p.FinishCode(t.Context(), first.Challenge, first.Code)
	refused("the code of an older mail", err)
	_, err = p.FinishLink(t.Context(), first.Token)
	refused("the link of an older mail", err)
	_, err = p.FinishCode(t.Context(), eves.Challenge, second.Code)
	refused("with another's challenge", err)
	_, err = p.FinishLink(t.Context(), second.Challenge)
	refused("a challenge as a link", err)
	authtest.WantReason(t, p.VerifyEmail(t, second.Token), faultv1.Reason_REASON_TOKEN_INVALID)
	_, err = p.FinishCode(t.Context(), "", second.Code)
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	_, err = p.FinishCode(t.Context(), second.Challenge, second.Code)
	authtest.Must(t, err)
	_, err = p.FinishCode(t.Context(), second.Challenge, second.Code)
	refused("a code again", err)
	for name, finish := range map[string]func(m authtest.SignInMail) (*authv1.TokenResponse, error){
		"a code too late": func(m authtest.SignInMail) (*authv1.TokenResponse, error) {
			return p.FinishCode(t.Context(), m.Challenge, m.Code)
		},
		"a link too late": func(m authtest.SignInMail) (*authv1.TokenResponse, error) { return p.FinishLink(t.Context(), m.Token) },
	} {
		m := p.ReadSignInMail(t, authtest.Ada)
		clk.Advance(email.SignInTTL)
		_, err = finish(m)
		refused(name, err)
	}
	// The reader of the old address gets no access after a change of address.
	m := p.ReadSignInMail(t, authtest.Ada)
	p.Database.AdminExec(t, "UPDATE auth.users SET email = 'new@example.org', email_normalized = 'new@example.org' WHERE email = 'ada@example.org'")
	_, err = p.FinishLink(t.Context(), m.Token)
	refused("another address", err)
	m = p.ReadSignInMail(t, "eve@example.org")
	p.Database.AdminExec(t, "UPDATE auth.users SET disabled = true")
	_, err = p.FinishLink(t.Context(), m.Token)
	refused("a disabled user", err)
}

func TestS37ConcurrentEmailSignInsOpenOneSession(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	p.SignUpConfirmed(t, authtest.Ada)
	m := p.ReadSignInMail(t, authtest.Ada)
	won := make(chan bool, 8)
	var group sync.WaitGroup
	for i := range cap(won) {
		group.Go(func() {
			var err error
			if i%2 == 0 {
				_, err = p.FinishCode(t.Context(), m.Challenge, m.Code)
			} else {
				_, err = p.FinishLink(t.Context(), m.Token)
			}
			if err != nil {
				authtest.WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
			}
			won <- err == nil
		})
	}
	group.Wait()
	close(won)
	n := 0
	for one := range won {
		if one {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d sign-ins succeeded", n)
	}
}

func TestS38EmailDoesNotSkipSecondFactor(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	_, who := p.SignUpConfirmed(t, authtest.Ada)
	p.EnrollDirectly(t, who.UserID)
	m := p.ReadSignInMail(t, authtest.Ada)
	answer, err := p.FinishCode(t.Context(), m.Challenge, m.Code)
	authtest.Must(t, err)
	if answer.GetMfaChallenge().GetId() == "" || answer.GetAccessToken() != "" || answer.GetRefreshToken() != "" {
		t.Errorf("the sign-in returned %v", answer)
	}
	if got := authtest.AdminText(t, p.Bundle, "SELECT array_to_string(methods, ' ') FROM auth.factor_challenges"); got != identity.MethodMail {
		t.Errorf("the challenge has %q", got)
	}
}

func TestS73DatabaseCopyHasNoUsableSignIn(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	p.SignUpConfirmed(t, authtest.Ada)
	m := p.ReadSignInMail(t, authtest.Ada)
	dump := authtest.AdminText(t, p.Bundle, `SELECT (SELECT string_agg(m::text, ' ') FROM auth.mail_sign_ins m)
		|| (SELECT string_agg(j::text, ' ') FROM jobs_auth.river_job j)`)
	for _, secret := range []string{m.Challenge, m.Token, m.Code} {
		if strings.Contains(dump, secret) {
			t.Errorf("%s is stored in plain text", secret)
		}
	}
	// The hash of a code is keyed: the plain hash of no code matches it.
	if n := authtest.AdminText(t, p.Bundle, `SELECT count(*)::text FROM auth.mail_sign_ins m, generate_series(0, 999999) n
		WHERE m.code_hash IN (sha256(lpad(n::text, 6, '0')::bytea), sha256(m.challenge_hash || lpad(n::text, 6, '0')::bytea))`); n != "0" {
		t.Errorf("%s codes are found by their hash", n)
	}
}

// Expired rows are deleted after the hour in which wrong codes count.
func TestSweep_DeletesExpiredSignIns(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := authtest.SetupMail(t, clk, false)
	p.SignUpConfirmed(t, authtest.Ada)
	p.ReadSignInMail(t, authtest.Ada)
	const left = "SELECT count(*)::text FROM auth.mail_sign_ins"
	authtest.WaitFor(t, func() bool {
		clk.Advance(time.Hour + email.SignInTTL)
		return authtest.AdminText(t, p.Bundle, left) == "0"
	})
}
