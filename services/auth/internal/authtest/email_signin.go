package authtest

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/email"
)

const SignInSubject = "Sign in to Gatehouse"

var Digits = regexp.MustCompile(`(?m)^(\d{6})\r?$`)

// SignInMail is one sign-in by mail: what its asker was given, and what the mail holds.
type SignInMail struct{ Challenge, Code, Token string }

func (p *Mail) BeginEmailSignIn(t *testing.T, address string) string {
	t.Helper()
	answer, err := p.Sessions.BeginEmailSignIn(t.Context(), &authv1.BeginEmailSignInRequest{Email: address})
	Must(t, err)
	if len(answer.GetChallengeId()) != 43 || answer.GetExpiresIn() != int32(email.SignInTTL.Seconds()) {
		t.Errorf("answered %v", answer)
	}
	return answer.GetChallengeId()
}

// ReadSignInMail asks for a mail and reads it.
func (p *Mail) ReadSignInMail(t *testing.T, address string) SignInMail {
	t.Helper()
	p.Server.Forget()
	out := SignInMail{Challenge: p.BeginEmailSignIn(t, address)}
	page, token := p.Link(t, address, SignInSubject)
	found := Digits.FindStringSubmatch(p.Server.Wait(t, address, SignInSubject).Text)
	if page != "/account/sign-in" || found == nil {
		t.Fatalf("the link leads to %s, and the code is %v", page, found)
	}
	out.Code, out.Token = found[1], token
	return out
}

func (p *Mail) FinishCode(ctx context.Context, challenge, code string) (*authv1.TokenResponse, error) {
	return p.Sessions.FinishEmailSignIn(ctx, &authv1.FinishEmailSignInRequest{
		ChallengeId: challenge, Credential: &authv1.FinishEmailSignInRequest_Code{Code: code},
	})
}

func (p *Mail) FinishLink(ctx context.Context, token string) (*authv1.TokenResponse, error) {
	return p.Sessions.FinishEmailSignIn(ctx, &authv1.FinishEmailSignInRequest{
		Credential: &authv1.FinishEmailSignInRequest_Token{Token: token},
	})
}

func (p *Mail) WantWrongCode(t *testing.T, m SignInMail) {
	t.Helper()
	_, err := p.FinishCode(t.Context(), m.Challenge, WrongCode(m.Code))
	WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
}

// WrongCode is another code of the same form.
func WrongCode(code string) string {
	last := "0"
	if strings.HasSuffix(code, last) {
		last = "1"
	}
	return code[:len(code)-1] + last
}

// SignUpConfirmed makes an account whose address is confirmed.
func (p *Mail) SignUpConfirmed(t *testing.T, address string) (*authv1.TokenResponse, *identity.Principal) {
	t.Helper()
	tokens, who := p.SignUp(t, address)
	_, token := p.Link(t, address, "Confirm your address")
	Must(t, p.VerifyEmail(t, token))
	return tokens, who
}
