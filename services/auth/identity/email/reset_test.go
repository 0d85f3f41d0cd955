package email_test

import (
	"sync"
	"testing"

	"github.com/gatehouse/gatehouse/platform/clock"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/email"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestS15NewestResetTokenWorksOnceForHalfAnHour(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	p := authtest.SetupMail(t, clk, false)
	p.SignUp(t, authtest.Ada)
	p.ForgotPassword(t, authtest.Ada)
	_, first := p.Link(t, authtest.Ada, "Choose a new password")
	p.Server.Forget()
	p.ForgotPassword(t, authtest.Ada)
	_, second := p.Link(t, authtest.Ada, "Choose a new password")
	authtest.WantReason(t, p.ResetPassword(t, first, authtest.OtherPassword), faultv1.Reason_REASON_TOKEN_INVALID)
	authtest.WantReason(t, p.ResetPassword(t, "anything", authtest.OtherPassword), faultv1.Reason_REASON_TOKEN_INVALID)
	authtest.WantReason(t, p.VerifyEmail(t, second), faultv1.Reason_REASON_TOKEN_INVALID)
	// A refused password does not use up the token.
	authtest.WantReason(t, p.ResetPassword(t, second, "ada@example.org"), faultv1.Reason_REASON_INVALID_ARGUMENT)
	authtest.Must(t, p.ResetPassword(t, second, authtest.OtherPassword))
	authtest.WantReason(t, p.ResetPassword(t, second, authtest.OtherPassword), faultv1.Reason_REASON_TOKEN_INVALID)
	p.Server.Forget()
	p.ForgotPassword(t, authtest.Ada)
	_, third := p.Link(t, authtest.Ada, "Choose a new password")
	clk.Advance(email.ResetTTL)
	authtest.WantReason(t, p.ResetPassword(t, third, authtest.Password), faultv1.Reason_REASON_TOKEN_INVALID)
	authtest.Must(t, p.TryPassword(t, authtest.Ada, authtest.OtherPassword))
}

func TestS15ResetEndsSessionsAndKeysAndKeepsFactors(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	tokens, who := p.SignUp(t, authtest.Ada)
	_, token := p.Link(t, authtest.Ada, "Confirm your address")
	authtest.Must(t, p.VerifyEmail(t, token))
	_, err := p.APIKeys.CreateApiKey(authtest.With(t.Context(), tokens), &authv1.CreateApiKeyRequest{ApiKey: &authv1.ApiKey{DisplayName: "mine", Scopes: []string{"members.read"}}})
	authtest.Must(t, err)
	p.EnrollDirectly(t, who.UserID)
	p.ForgotPassword(t, authtest.Ada)
	_, token = p.Link(t, authtest.Ada, "Choose a new password")
	authtest.Must(t, p.ResetPassword(t, token, authtest.OtherPassword))
	p.Server.Wait(t, authtest.Ada, "Your password was reset")
	_, err = p.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	if n := authtest.AdminText(t, p.Bundle, "SELECT count(*)::text FROM auth.revocations WHERE session_id = $1", who.SessionID); n != "1" {
		t.Errorf("%s revocations of the session", n)
	}
	if n := authtest.AdminText(t, p.Bundle, "SELECT count(*)::text FROM auth.api_keys"); n != "0" {
		t.Errorf("%s API keys are left", n)
	}
	authtest.WantReason(t, p.TryPassword(t, authtest.Ada, authtest.Password), faultv1.Reason_REASON_INVALID_CREDENTIALS)
	answer, err := p.Sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: authtest.Ada, Password: authtest.OtherPassword})
	authtest.Must(t, err)
	if answer.GetMfaChallenge().GetId() == "" || answer.GetAccessToken() != "" {
		t.Error("the second factor is skipped after a reset")
	}
}

func TestS15ConcurrentResetsSetOnePassword(t *testing.T) {
	t.Parallel()
	const racers = 8
	p := authtest.SetupMail(t, clock.System(), false)
	p.SignUp(t, authtest.Ada)
	p.ForgotPassword(t, authtest.Ada)
	_, token := p.Link(t, authtest.Ada, "Choose a new password")
	errs := make([]error, racers)
	var group sync.WaitGroup
	for i := range racers {
		group.Go(func() { errs[i] = p.ResetPassword(t, token, authtest.OtherPassword) })
	}
	group.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		authtest.WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
	}
	if won != 1 {
		t.Errorf("%d of %d resets succeeded", won, racers)
	}
}
