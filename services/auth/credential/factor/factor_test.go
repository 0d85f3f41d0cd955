package factor_test

import (
	"context"
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
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestSignIn_WithFactor_NeedsChallenge(t *testing.T) {
	t.Parallel()
	h := authtest.SetupFactorUser(t)
	methods := h.SignIn(t, h.Email).GetMfaChallenge().GetMethods()
	if !slices.Equal(methods, []string{"totp", "recovery_code"}) {
		t.Errorf("the challenge accepts %v", methods)
	}
	tokens, err := h.Answer(t.Context(), h.Challenge(t), h.Code(t, 1))
	authtest.Must(t, err)
	p := h.Principal(t, tokens)
	if !slices.Equal(p.Methods, []string{"pwd", "otp", "mfa"}) || tokens.GetUser().GetEmail() != h.Email {
		t.Errorf("signed in with %v as %v", p.Methods, tokens.GetUser())
	}
	refreshed, err := h.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	authtest.Must(t, err)
	if got := h.Principal(t, refreshed); !slices.Equal(got.Methods, p.Methods) || !got.AuthTime.Equal(p.AuthTime) {
		t.Errorf("refreshed as %+v", got)
	}
	authtest.WantActions(t, h.Bundle, p.OrganizationID, "auth.user.created", "auth.session.created", "auth.factor.enrolled", "auth.session.created")
}

func TestS35TOTPCodeWorksOnceAndNoEarlierOne(t *testing.T) {
	t.Parallel()
	h := authtest.SetupFactorUser(t)
	h.WantRefused(t, h.Challenge(t), h.Code(t, 0)) // the code was used to confirm the authenticator
	next := h.Code(t, 1)
	_, err := h.Answer(t.Context(), h.Challenge(t), next)
	authtest.Must(t, err)
	h.Clock.Advance(authtest.TOTPStep)
	h.WantRefused(t, h.Challenge(t), next)
	h.WantRefused(t, h.Challenge(t), h.Code(t, -1))
	h.Clock.Advance(authtest.TOTPStep)
	challenges := []string{h.Challenge(t), h.Challenge(t), h.Challenge(t), h.Challenge(t)}
	code, errs := h.Code(t, 0), make([]error, len(challenges))
	var group sync.WaitGroup
	for i, challenge := range challenges {
		group.Go(func() { _, errs[i] = h.Answer(t.Context(), challenge, code) })
	}
	group.Wait()
	if won := len(challenges) - len(slices.DeleteFunc(errs, func(err error) bool { return err == nil })); won != 1 {
		t.Errorf("one code signed in %d times at once", won)
	}
}

func TestS36FiveWrongCodesEndChallenge(t *testing.T) {
	t.Parallel()
	h := authtest.SetupFactorUser(t)
	challenge := h.Challenge(t)
	for range 5 {
		h.WantRefused(t, challenge, h.WrongCode(t))
	}
	h.WantRefused(t, challenge, h.Code(t, 1))
	_, err := h.Answer(t.Context(), h.Challenge(t), h.Code(t, 1))
	authtest.Must(t, err)
}

func TestS36TenWrongCodesInAnHourAreLimited(t *testing.T) {
	t.Parallel()
	h := authtest.SetupFactorUser(t)
	challenges := []string{h.Challenge(t), h.Challenge(t), h.Challenge(t), h.Challenge(t)}
	wrong := h.WrongCode(t)
	errs := make([]error, 40)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { _, errs[i] = h.Answer(t.Context(), challenges[i%len(challenges)], wrong) })
	}
	group.Wait()
	checked := 0
	for _, err := range errs {
		if fault.Is(err, faultv1.Reason_REASON_FACTOR_INVALID) {
			checked++
		} else {
			authtest.WantReason(t, err, faultv1.Reason_REASON_RATE_LIMITED)
		}
	}
	if stored := authtest.AdminText(t, h.Bundle, "SELECT wrong::text FROM auth.factor_tries"); stored != "10" {
		t.Errorf("%s wrong codes were checked", stored)
	}
	_, err := h.Answer(t.Context(), h.Challenge(t), h.Code(t, 1))
	authtest.WantReason(t, err, faultv1.Reason_REASON_RATE_LIMITED)
	if after := fault.From(err).RetryAfter(); after <= 0 || after > time.Hour {
		t.Errorf("retry after %s", after)
	}
	h.Clock.Advance(time.Hour)
	_, err = h.Answer(t.Context(), h.Challenge(t), h.Code(t, 1))
	authtest.Must(t, err)
}

func TestS37ChallengeWorksOnceForItsUserForFiveMinutes(t *testing.T) {
	t.Parallel()
	h := authtest.SetupFactorUser(t)
	used, expired := h.Challenge(t), h.Challenge(t)
	_, err := h.Answer(t.Context(), used, h.Code(t, 1))
	authtest.Must(t, err)
	h.Clock.Advance(5*time.Minute + time.Second)
	h.WantRefused(t, used, h.Code(t, 0))
	h.WantRefused(t, expired, h.Code(t, 0))
	h.WantRefused(t, "unknown", h.Code(t, 0))

	h = authtest.SetupFactorUser(t)
	ofAda, adas := h.Challenge(t), h.Secret
	bob, _ := h.SignUp(t, "bob@example.org")
	h.Enroll(t, "bob@example.org", bob)
	h.WantRefused(t, ofAda, h.Code(t, 1)) // Bob's code
	h.WantRefused(t, h.Challenge(t), h.RecoveryCodes[0][:4])
	h.Secret = adas
	_, err = h.Answer(t.Context(), ofAda, h.Code(t, 1))
	authtest.Must(t, err)
	stored := authtest.AdminText(t, h.Bundle, "SELECT string_agg(c::text, ' ') FROM auth.factor_challenges c")
	if strings.Contains(stored, ofAda) {
		t.Error("a challenge is stored in plain text")
	}
}

func TestS38EnrolledFactorIsAlwaysRequired(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Now())
	h := &authtest.FactorUser{Bundle: authtest.SetupWith(t, clk, auth.Config{}), Clock: clk}
	enrolling, p := h.SignUp(t, "ada@example.org")
	before := h.SignIn(t, "ada@example.org")
	h.Enroll(t, "ada@example.org", enrolling)

	// A session that started without the factor has ended.
	_, err := h.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: before.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	_, err = h.Sessions.SwitchOrganization(authtest.With(t.Context(), before), &authv1.SwitchOrganizationRequest{OrganizationId: p.OrganizationID})
	authtest.WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	// The session that enrolled the factor has used it.
	switched, err := h.Sessions.SwitchOrganization(authtest.With(t.Context(), enrolling), &authv1.SwitchOrganizationRequest{OrganizationId: p.OrganizationID})
	authtest.Must(t, err)
	refreshed, err := h.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: switched.GetRefreshToken()})
	authtest.Must(t, err)
	if got := h.Principal(t, refreshed).Methods; !slices.Contains(got, "otp") {
		t.Errorf("the session has used %v", got)
	}
	// If such a session existed, it could not open another one.
	h.Database.AdminExec(t, "UPDATE auth.sessions SET methods = ARRAY ['pwd']")
	_, err = h.Sessions.SwitchOrganization(authtest.With(t.Context(), refreshed), &authv1.SwitchOrganizationRequest{OrganizationId: p.OrganizationID})
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = h.Sessions.StepUp(authtest.With(t.Context(), refreshed), authtest.StepUpPassword(authtest.Password))
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
}

func TestS39RecoveryCodesWorkOnceAndAreStoredHashed(t *testing.T) {
	t.Parallel()
	h := authtest.SetupFactorUser(t)
	if len(h.RecoveryCodes) != 10 {
		t.Fatalf("there are %d codes", len(h.RecoveryCodes))
	}
	stored := authtest.AdminText(t, h.Bundle, "SELECT string_agg(c::text, ' ') FROM auth.recovery_codes c")
	for _, code := range h.RecoveryCodes {
		if strings.Contains(stored, code) || strings.Contains(stored, strings.ReplaceAll(code, "-", "")) {
			t.Error("a code is stored in plain text")
		}
	}
	first := h.RecoveryCodes[0]
	tokens, err := h.Answer(t.Context(), h.Challenge(t), strings.ToUpper(first))
	authtest.Must(t, err)
	h.WantRefused(t, h.Challenge(t), first)
	left, err := h.Factors.GetFactors(authtest.With(t.Context(), tokens), &authv1.GetFactorsRequest{})
	authtest.Must(t, err)
	if left.GetRecoveryCodesLeft() != 9 {
		t.Errorf("%d codes are left", left.GetRecoveryCodesLeft())
	}
	renewed, err := h.Factors.CreateRecoveryCodes(authtest.With(t.Context(), tokens), &authv1.CreateRecoveryCodesRequest{})
	authtest.Must(t, err)
	h.WantRefused(t, h.Challenge(t), h.RecoveryCodes[1])
	_, err = h.Answer(t.Context(), h.Challenge(t), renewed.GetRecoveryCodes()[1])
	authtest.Must(t, err)
}

func TestS39RemovingFactorNeedsFactor(t *testing.T) {
	t.Parallel()
	h := authtest.SetupFactorUser(t)
	_, err := h.Factors.CreateTotp(authtest.With(t.Context(), h.Tokens), &authv1.CreateTotpRequest{})
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = h.Factors.DeleteTotp(authtest.With(t.Context(), h.Tokens), &authv1.DeleteTotpRequest{})
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = h.Sessions.StepUp(authtest.With(t.Context(), h.Tokens), authtest.StepUpPassword(authtest.Password))
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = h.Sessions.StepUp(authtest.With(t.Context(), h.Tokens), authtest.StepUpCode(h.WrongCode(t)))
	authtest.WantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
	tokens, err := h.Sessions.StepUp(authtest.With(t.Context(), h.Tokens), authtest.StepUpCode(h.Code(t, 1)))
	authtest.Must(t, err)
	_, err = h.Factors.CreateTotp(authtest.With(t.Context(), tokens), &authv1.CreateTotpRequest{})
	authtest.WantReason(t, err, faultv1.Reason_REASON_ALREADY_EXISTS)
	_, err = h.Factors.DeleteTotp(authtest.With(t.Context(), tokens), &authv1.DeleteTotpRequest{})
	authtest.Must(t, err)
	_, err = h.Factors.DeleteTotp(authtest.With(t.Context(), tokens), &authv1.DeleteTotpRequest{})
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	if h.SignIn(t, h.Email).GetAccessToken() == "" {
		t.Error("a removed factor is required")
	}
	if stored := authtest.AdminText(t, h.Bundle, "SELECT count(*)::text FROM auth.recovery_codes"); stored != "0" {
		t.Errorf("%s recovery codes are left", stored)
	}
}

func TestS18StepUpRenewsSession(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Now().Add(-8 * time.Minute))
	b := authtest.SetupWith(t, clk, auth.Config{})
	old, p := b.SignUp(t, "ada@example.org")
	clk.Advance(identity.MaxAuthAge + time.Second)
	_, err := b.Factors.CreateTotp(authtest.With(t.Context(), old), &authv1.CreateTotpRequest{})
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = b.Sessions.StepUp(authtest.With(t.Context(), old), authtest.StepUpPassword("wrong horse battery"))
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	_, err = b.Sessions.StepUp(authtest.With(t.Context(), old), authtest.StepUpCode("123456"))
	authtest.WantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
	_, err = b.Sessions.StepUp(t.Context(), authtest.StepUpPassword(authtest.Password))
	authtest.WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)

	fresh, err := b.Sessions.StepUp(authtest.With(t.Context(), old), authtest.StepUpPassword(authtest.Password))
	authtest.Must(t, err)
	got := b.Principal(t, fresh)
	if got.SessionID != p.SessionID || got.AuthTime.Sub(p.AuthTime) < identity.MaxAuthAge || !slices.Equal(got.Methods, []string{"pwd"}) {
		t.Errorf("stepped up to %+v from %+v", got, p)
	}
	_, err = b.Factors.CreateTotp(authtest.With(t.Context(), fresh), &authv1.CreateTotpRequest{})
	authtest.Must(t, err)
	refreshed, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: fresh.GetRefreshToken()})
	authtest.Must(t, err)
	if again := b.Principal(t, refreshed); !again.AuthTime.Equal(got.AuthTime) {
		t.Errorf("the refreshed token has %s", again.AuthTime)
	}
	// The previous refresh token counts as used.
	_, err = b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: old.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_REUSED)
	_, err = b.Sessions.StepUp(authtest.With(t.Context(), fresh), authtest.StepUpPassword(authtest.Password))
	authtest.WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
}

func TestSweep_DeletesExpiredChallenges(t *testing.T) {
	t.Parallel()
	h := authtest.SetupFactorUser(t)
	h.Challenge(t)
	h.Clock.Advance(6 * time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- h.Service.Run(ctx) }()
	authtest.WaitFor(t, func() bool {
		return authtest.AdminText(t, h.Bundle, "SELECT count(*)::text FROM auth.factor_challenges") == "0"
	})
	cancel()
	authtest.Must(t, <-done)
}
