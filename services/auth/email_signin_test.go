package auth_test

import (
	"context"
	"regexp"
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
)

const signInSubject = "Sign in to Gatehouse"

var digits = regexp.MustCompile(`(?m)^(\d{6})\r?$`)

// signInMail is one sign-in by mail: what its asker was given, and what the mail holds.
type signInMail struct{ challenge, code, token string }

func (p *mail) beginEmailSignIn(t *testing.T, address string) string {
	t.Helper()
	answer, err := p.sessions.BeginEmailSignIn(t.Context(), &authv1.BeginEmailSignInRequest{Email: address})
	must(t, err)
	if len(answer.GetChallengeId()) != 43 || answer.GetExpiresIn() != int32(email.SignInTTL.Seconds()) {
		t.Errorf("answered %v", answer)
	}
	return answer.GetChallengeId()
}

// readSignInMail asks for a mail and reads it.
func (p *mail) readSignInMail(t *testing.T, address string) signInMail {
	t.Helper()
	p.server.Forget()
	out := signInMail{challenge: p.beginEmailSignIn(t, address)}
	page, token := p.link(t, address, signInSubject)
	found := digits.FindStringSubmatch(p.server.Wait(t, address, signInSubject).Text)
	if page != "/account/sign-in" || found == nil {
		t.Fatalf("the link leads to %s, and the code is %v", page, found)
	}
	out.code, out.token = found[1], token
	return out
}

func (p *mail) finishCode(ctx context.Context, challenge, code string) (*authv1.TokenResponse, error) {
	return p.sessions.FinishEmailSignIn(ctx, &authv1.FinishEmailSignInRequest{
		ChallengeId: challenge, Credential: &authv1.FinishEmailSignInRequest_Code{Code: code},
	})
}

func (p *mail) finishLink(ctx context.Context, token string) (*authv1.TokenResponse, error) {
	return p.sessions.FinishEmailSignIn(ctx, &authv1.FinishEmailSignInRequest{
		Credential: &authv1.FinishEmailSignInRequest_Token{Token: token},
	})
}

func (p *mail) wantWrongCode(t *testing.T, m signInMail) {
	t.Helper()
	_, err := p.finishCode(t.Context(), m.challenge, wrongCode(m.code))
	wantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
}

// wrongCode is another code of the same form.
func wrongCode(code string) string {
	last := "0"
	if strings.HasSuffix(code, last) {
		last = "1"
	}
	return code[:len(code)-1] + last
}

// signUpConfirmed makes an account whose address is confirmed.
func (p *mail) signUpConfirmed(t *testing.T, address string) (*authv1.TokenResponse, *identity.Principal) {
	t.Helper()
	tokens, who := p.signUp(t, address)
	_, token := p.link(t, address, "Confirm your address")
	must(t, p.verifyEmail(t, token))
	return tokens, who
}

func TestAMailSignsInByItsCodeOrItsLink(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	before, who := p.signUpConfirmed(t, ada)
	m := p.readSignInMail(t, ada)
	tokens, err := p.finishCode(t.Context(), m.challenge, " "+m.code[:3]+" "+m.code[3:])
	must(t, err)
	got := p.principal(t, tokens)
	if got.UserID != who.UserID || got.OrganizationID != who.OrganizationID || !slices.Equal(got.Methods, []string{identity.MethodMail}) || tokens.GetRefreshToken() == "" {
		t.Errorf("signed in as %+v", got)
	}
	// One use: the link goes with the code, and the code with the link.
	_, err = p.finishLink(t.Context(), m.token)
	wantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	m = p.readSignInMail(t, ada)
	_, err = p.finishLink(t.Context(), m.token)
	must(t, err)
	_, err = p.finishCode(t.Context(), m.challenge, m.code)
	wantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	// What the owner of a confirmed address has stays.
	must(t, p.tryPassword(t, ada, password))
	_, err = p.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: before.GetRefreshToken()})
	must(t, err)
}

// S14: for whatever address, the answer, what is written and what a wrong code does
// are the same.
func TestS14SigningInByMailIsTheSameForAnyAddress(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	p.signUp(t, "off@example.org")
	p.database.AdminExec(t, "UPDATE auth.users SET disabled = true")
	p.signUpConfirmed(t, ada)
	p.server.Forget()
	for i, address := range []string{ada, "eve@example.org", "off@example.org"} {
		challenge := p.beginEmailSignIn(t, address)
		p.waitDelivered(t, 3+i)
		_, err := p.finishCode(t.Context(), challenge, "12345")
		f := fault.From(err)
		if f.Reason() != faultv1.Reason_REASON_TOKEN_INVALID || f.Detail() != "the code or link is not valid, or no longer: ask for another mail" {
			t.Errorf("%s: %v", address, err)
		}
	}
	if got := adminText(t, p.bundle, "SELECT count(*) || ' of ' || sum(tries) || ' tries' FROM auth.mail_sign_ins"); got != "3 of 3 tries" {
		t.Errorf("there are %s", got)
	}
	if mails := p.server.Mails(); len(mails) != 1 || mails[0].To != ada {
		t.Errorf("mails: %v", mails)
	}
	if n := adminText(t, p.bundle, "SELECT count(*)::text FROM auth.users"); n != "2" {
		t.Errorf("%s users", n)
	}
}

// S16: whoever reads the mail of an address that was never confirmed puts out who
// made the account.
func TestS16SigningInByMailPutsTheSquatterOut(t *testing.T) {
	t.Parallel()
	for _, verified := range []bool{false, true} {
		p := setupMail(t, clock.System(), false)
		squatter, who := p.signUp(t, ada)
		_, err := p.apiKeys.CreateApiKey(with(t.Context(), squatter), &authv1.CreateApiKeyRequest{ApiKey: &authv1.ApiKey{DisplayName: "theirs", Scopes: []string{"members.read"}}})
		must(t, err)
		_, err = p.emails.ChangeEmail(with(t.Context(), squatter), &authv1.ChangeEmailRequest{NewEmail: "eve@example.org", Password: password})
		must(t, err)
		_, change := p.link(t, "eve@example.org", "Confirm your new address")
		p.enrollDirectly(t, who.UserID)
		m := p.readSignInMail(t, ada)
		var tokens *authv1.TokenResponse
		if verified {
			tokens, err = p.finishLink(t.Context(), m.token)
		} else {
			tokens, err = p.finishCode(t.Context(), m.challenge, m.code)
		}
		must(t, err)
		if tokens.GetAccessToken() == "" || !tokens.GetUser().GetEmailVerified() {
			t.Errorf("the owner is answered %v", tokens)
		}
		wantReason(t, p.tryPassword(t, ada, password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
		wantReason(t, p.tryPassword(t, ada, ""), faultv1.Reason_REASON_INVALID_ARGUMENT)
		_, err = p.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: squatter.GetRefreshToken()})
		wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
		wantReason(t, p.verifyEmail(t, change), faultv1.Reason_REASON_TOKEN_INVALID)
		if n := adminText(t, p.bundle, "SELECT ((SELECT count(*) FROM auth.api_keys) + (SELECT count(*) FROM auth.totp_factors))::text"); n != "0" {
			t.Errorf("%s keys and factors of the squatter are left", n)
		}
	}
}

// S36: five wrong codes kill a challenge, and ten within an hour are all of an
// address, which does not keep its link out.
func TestS36WrongMailCodesAreBounded(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := setupMail(t, clk, false)
	p.signUpConfirmed(t, ada)
	for range 2 {
		m := p.readSignInMail(t, ada)
		for range 5 {
			p.wantWrongCode(t, m)
		}
		for _, finish := range []func() (*authv1.TokenResponse, error){
			func() (*authv1.TokenResponse, error) { return p.finishCode(t.Context(), m.challenge, m.code) },
			func() (*authv1.TokenResponse, error) { return p.finishLink(t.Context(), m.token) },
		} {
			_, err := finish()
			wantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
		}
	}
	m := p.readSignInMail(t, ada)
	_, err := p.finishCode(t.Context(), m.challenge, m.code)
	wantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	_, err = p.finishLink(t.Context(), m.token)
	must(t, err)
	clk.Advance(time.Hour)
	m = p.readSignInMail(t, ada)
	_, err = p.finishCode(t.Context(), m.challenge, m.code)
	must(t, err)
}

// S36: however many tries come at once, five are judged.
func TestS36MailCodesTriedAtOnceAreFive(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	p.signUpConfirmed(t, ada)
	m := p.readSignInMail(t, ada)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { _, _ = p.finishCode(t.Context(), m.challenge, wrongCode(m.code)) })
	}
	group.Wait()
	if got := adminText(t, p.bundle, "SELECT tries || ' ' || wrong FROM auth.mail_sign_ins"); got != "5 5" {
		t.Errorf("%s were judged", got)
	}
}

func TestS37AMailSignsInOnceInTimeForItsOwnChallenge(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := setupMail(t, clk, false)
	p.signUpConfirmed(t, ada)
	p.signUpConfirmed(t, "eve@example.org")
	eves := p.readSignInMail(t, "eve@example.org")
	first := p.readSignInMail(t, ada)
	second := p.readSignInMail(t, ada)
	refused := func(what string, err error) {
		t.Helper()
		if !fault.Is(err, faultv1.Reason_REASON_TOKEN_INVALID) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := p.finishCode(t.Context(), first.challenge, first.code)
	refused("the code of an older mail", err)
	_, err = p.finishLink(t.Context(), first.token)
	refused("the link of an older mail", err)
	_, err = p.finishCode(t.Context(), eves.challenge, second.code)
	refused("with another's challenge", err)
	_, err = p.finishLink(t.Context(), second.challenge)
	refused("a challenge as a link", err)
	wantReason(t, p.verifyEmail(t, second.token), faultv1.Reason_REASON_TOKEN_INVALID)
	_, err = p.finishCode(t.Context(), "", second.code)
	wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	_, err = p.finishCode(t.Context(), second.challenge, second.code)
	must(t, err)
	_, err = p.finishCode(t.Context(), second.challenge, second.code)
	refused("a code again", err)
	for name, finish := range map[string]func(m signInMail) (*authv1.TokenResponse, error){
		"a code too late": func(m signInMail) (*authv1.TokenResponse, error) { return p.finishCode(t.Context(), m.challenge, m.code) },
		"a link too late": func(m signInMail) (*authv1.TokenResponse, error) { return p.finishLink(t.Context(), m.token) },
	} {
		m := p.readSignInMail(t, ada)
		clk.Advance(email.SignInTTL)
		_, err = finish(m)
		refused(name, err)
	}
	// An account that moved to another address meanwhile is not the old one's reader's.
	m := p.readSignInMail(t, ada)
	p.database.AdminExec(t, "UPDATE auth.users SET email = 'new@example.org', email_normalized = 'new@example.org' WHERE email = 'ada@example.org'")
	_, err = p.finishLink(t.Context(), m.token)
	refused("another address", err)
	m = p.readSignInMail(t, "eve@example.org")
	p.database.AdminExec(t, "UPDATE auth.users SET disabled = true")
	_, err = p.finishLink(t.Context(), m.token)
	refused("a disabled user", err)
}

func TestS37OfRacingMailSignInsOneWins(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	p.signUpConfirmed(t, ada)
	m := p.readSignInMail(t, ada)
	won := make(chan bool, 8)
	var group sync.WaitGroup
	for i := range cap(won) {
		group.Go(func() {
			var err error
			if i%2 == 0 {
				_, err = p.finishCode(t.Context(), m.challenge, m.code)
			} else {
				_, err = p.finishLink(t.Context(), m.token)
			}
			if err != nil {
				wantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
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
		t.Errorf("%d won", n)
	}
}

func TestS38AMailDoesNotSkipTheSecondFactor(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	_, who := p.signUpConfirmed(t, ada)
	p.enrollDirectly(t, who.UserID)
	m := p.readSignInMail(t, ada)
	answer, err := p.finishCode(t.Context(), m.challenge, m.code)
	must(t, err)
	if answer.GetMfaChallenge().GetId() == "" || answer.GetAccessToken() != "" || answer.GetRefreshToken() != "" {
		t.Errorf("answered %v", answer)
	}
	if got := adminText(t, p.bundle, "SELECT array_to_string(methods, ' ') FROM auth.factor_challenges"); got != identity.MethodMail {
		t.Errorf("the challenge holds %q", got)
	}
}

func TestS73ADumpHoldsNoMailThatSignsIn(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	p.signUpConfirmed(t, ada)
	m := p.readSignInMail(t, ada)
	dump := adminText(t, p.bundle, `SELECT (SELECT string_agg(m::text, ' ') FROM auth.mail_sign_ins m)
		|| (SELECT string_agg(j::text, ' ') FROM jobs_auth.river_job j)`)
	for _, secret := range []string{m.challenge, m.token, m.code} {
		if strings.Contains(dump, secret) {
			t.Errorf("%s rests in the clear", secret)
		}
	}
	// The hash of a code says nothing without the key: no code's plain hash is it.
	if n := adminText(t, p.bundle, `SELECT count(*)::text FROM auth.mail_sign_ins m, generate_series(0, 999999) n
		WHERE m.code_hash IN (sha256(lpad(n::text, 6, '0')::bytea), sha256(m.challenge_hash || lpad(n::text, 6, '0')::bytea))`); n != "0" {
		t.Errorf("%s codes are found by their hash", n)
	}
}

// What is over goes, once the hour is over in which wrong codes count.
func TestSignInMailsThatAreOverGo(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := setupMail(t, clk, false)
	p.signUpConfirmed(t, ada)
	p.readSignInMail(t, ada)
	const left = "SELECT count(*)::text FROM auth.mail_sign_ins"
	waitFor(t, func() bool {
		clk.Advance(time.Hour + email.SignInTTL)
		return adminText(t, p.bundle, left) == "0"
	})
}
