package authtest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/gatehouse/gatehouse/platform/clock"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
)

// TOTPStep is how long a code of an authenticator is shown.
const TOTPStep = 30 * time.Second

// FactorUser is a user with an authenticator. The time of the service stands still.
type FactorUser struct {
	*Bundle
	Clock         *clock.Fake
	Email, Secret string
	RecoveryCodes []string
	// tokens are those with which the authenticator was enrolled.
	Tokens *authv1.TokenResponse
}

// SetupFactorUser starts the service with a user who has an authenticator.
func SetupFactorUser(t *testing.T) *FactorUser {
	t.Helper()
	clk := clock.NewFake(clock.System().Now())
	h := &FactorUser{Bundle: SetupWith(t, clk, auth.Config{}), Clock: clk}
	h.Tokens, _ = h.SignUp(t, "ada@example.org")
	h.Enroll(t, "ada@example.org", h.Tokens)
	return h
}

// Enroll gives a user an authenticator.
func (h *FactorUser) Enroll(t *testing.T, email string, tokens *authv1.TokenResponse) {
	t.Helper()
	h.Email = email
	created, err := h.Factors.CreateTotp(With(t.Context(), tokens), &authv1.CreateTotpRequest{})
	Must(t, err)
	h.Secret = created.GetSecret()
	confirmed, err := h.Factors.ConfirmTotp(With(t.Context(), tokens), &authv1.ConfirmTotpRequest{Code: h.Code(t, 0)})
	Must(t, err)
	h.RecoveryCodes = confirmed.GetRecoveryCodes()
}

// Code returns the code that the authenticator shows some steps from now.
func (h *FactorUser) Code(t *testing.T, steps int) string {
	t.Helper()
	code, err := totp.GenerateCode(h.Secret, h.Clock.Now().Add(time.Duration(steps)*TOTPStep))
	Must(t, err)
	return code
}

// WrongCode returns a code that is wrong in every step around now.
func (h *FactorUser) WrongCode(t *testing.T) string {
	t.Helper()
	near := []string{h.Code(t, -1), h.Code(t, 0), h.Code(t, 1)}
	for _, candidate := range []string{"000000", "111111", "222222", "333333"} {
		if !slices.Contains(near, candidate) {
			return candidate
		}
	}
	t.Fatal("every code is right")
	return ""
}

// Challenge signs in with the password, and returns the challenge of the second factor.
func (h *FactorUser) Challenge(t *testing.T) string {
	t.Helper()
	out := h.SignIn(t, h.Email)
	if out.GetAccessToken() != "" || out.GetRefreshToken() != "" || out.GetUser() != nil || out.GetMfaChallenge().GetId() == "" {
		t.Fatalf("a password alone was answered %v", out)
	}
	return out.GetMfaChallenge().GetId()
}

// Answer signs in with the code for a challenge.
func (h *FactorUser) Answer(ctx context.Context, challenge, code string) (*authv1.TokenResponse, error) {
	return h.Sessions.SignInMfa(ctx, &authv1.SignInMfaRequest{ChallengeId: challenge, Code: code})
}

// WantRefused fails the test unless the sign-in is refused.
func (h *FactorUser) WantRefused(t *testing.T, challenge, code string) {
	t.Helper()
	_, err := h.Answer(t.Context(), challenge, code)
	WantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
}

// StepUpPassword returns the request of a step-up with a password.
func StepUpPassword(password string) *authv1.StepUpRequest {
	return &authv1.StepUpRequest{Credential: &authv1.StepUpRequest_Password{Password: password}}
}

// StepUpCode returns the request of a step-up with a code.
func StepUpCode(code string) *authv1.StepUpRequest {
	return &authv1.StepUpRequest{Credential: &authv1.StepUpRequest_Code{Code: code}}
}

// WrongCodeMails returns how many emails about wrong codes were sent or queued in this hour.
func (h *FactorUser) WrongCodeMails(t *testing.T) string {
	t.Helper()
	return AdminText(t, h.Bundle, "SELECT coalesce(sum(letters), 0)::text FROM auth.letter_counts WHERE kind = 'factor_wrong'")
}
