package auth_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
)

const step = 30 * time.Second

// factorUser is a user with an authenticator, in a product whose time stands still.
type factorUser struct {
	*bundle
	clock         *clock.Fake
	email, secret string
	recoveryCodes []string
	// tokens are those with which the authenticator was enrolled.
	tokens *authv1.TokenResponse
}

func setupFactorUser(t *testing.T) *factorUser {
	t.Helper()
	clk := clock.NewFake(time.Now())
	h := &factorUser{bundle: setupWith(t, clk, auth.Config{}), clock: clk}
	h.tokens, _ = h.signUp(t, "ada@example.org")
	h.enroll(t, "ada@example.org", h.tokens)
	return h
}

// enroll gives a user an authenticator.
func (h *factorUser) enroll(t *testing.T, email string, tokens *authv1.TokenResponse) {
	t.Helper()
	h.email = email
	created, err := h.factors.CreateTotp(with(t.Context(), tokens), &authv1.CreateTotpRequest{})
	must(t, err)
	h.secret = created.GetSecret()
	confirmed, err := h.factors.ConfirmTotp(with(t.Context(), tokens), &authv1.ConfirmTotpRequest{Code: h.code(t, 0)})
	must(t, err)
	h.recoveryCodes = confirmed.GetRecoveryCodes()
}

// code is what the authenticator shows some steps from now.
func (h *factorUser) code(t *testing.T, steps int) string {
	t.Helper()
	code, err := totp.GenerateCode(h.secret, h.clock.Now().Add(time.Duration(steps)*step))
	must(t, err)
	return code
}

// wrong is a code that no step around now has.
func (h *factorUser) wrong(t *testing.T) string {
	t.Helper()
	near := []string{h.code(t, -1), h.code(t, 0), h.code(t, 1)}
	for _, candidate := range []string{"000000", "111111", "222222", "333333"} {
		if !slices.Contains(near, candidate) {
			return candidate
		}
	}
	t.Fatal("every code is right")
	return ""
}

// challenge signs in with the password.
func (h *factorUser) challenge(t *testing.T) string {
	t.Helper()
	out := h.signIn(t, h.email)
	if out.GetAccessToken() != "" || out.GetRefreshToken() != "" || out.GetUser() != nil || out.GetMfaChallenge().GetId() == "" {
		t.Fatalf("a password alone was answered %v", out)
	}
	return out.GetMfaChallenge().GetId()
}

func (h *factorUser) answer(ctx context.Context, challenge, code string) (*authv1.TokenResponse, error) {
	return h.sessions.SignInMfa(ctx, &authv1.SignInMfaRequest{ChallengeId: challenge, Code: code})
}

func (h *factorUser) wantRefused(t *testing.T, challenge, code string) {
	t.Helper()
	_, err := h.answer(t.Context(), challenge, code)
	wantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
}

func TestSignInWithASecondFactor(t *testing.T) {
	t.Parallel()
	h := setupFactorUser(t)
	methods := h.signIn(t, h.email).GetMfaChallenge().GetMethods()
	if !slices.Equal(methods, []string{"totp", "recovery_code"}) {
		t.Errorf("the challenge takes %v", methods)
	}
	tokens, err := h.answer(t.Context(), h.challenge(t), h.code(t, 1))
	must(t, err)
	p := h.principal(t, tokens)
	if !slices.Equal(p.Methods, []string{"pwd", "otp", "mfa"}) || tokens.GetUser().GetEmail() != h.email {
		t.Errorf("signed in with %v as %v", p.Methods, tokens.GetUser())
	}
	refreshed, err := h.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	must(t, err)
	if got := h.principal(t, refreshed); !slices.Equal(got.Methods, p.Methods) || !got.AuthTime.Equal(p.AuthTime) {
		t.Errorf("refreshed as %+v", got)
	}
	wantActions(t, h.bundle, p.OrganizationID, "auth.user.created", "auth.session.created", "auth.factor.enrolled", "auth.session.created")
}

func TestS35ATOTPCodeWorksOnceAndNoneBeforeIt(t *testing.T) {
	t.Parallel()
	h := setupFactorUser(t)
	h.wantRefused(t, h.challenge(t), h.code(t, 0)) // it confirmed the authenticator
	next := h.code(t, 1)
	_, err := h.answer(t.Context(), h.challenge(t), next)
	must(t, err)
	h.clock.Advance(step)
	h.wantRefused(t, h.challenge(t), next)
	h.wantRefused(t, h.challenge(t), h.code(t, -1))
	h.clock.Advance(step)
	challenges := []string{h.challenge(t), h.challenge(t), h.challenge(t), h.challenge(t)}
	code, errs := h.code(t, 0), make([]error, len(challenges))
	var group sync.WaitGroup
	for i, challenge := range challenges {
		group.Go(func() { _, errs[i] = h.answer(t.Context(), challenge, code) })
	}
	group.Wait()
	if won := len(challenges) - len(slices.DeleteFunc(errs, func(err error) bool { return err == nil })); won != 1 {
		t.Errorf("one code signed in %d times at once", won)
	}
}

func TestS36FiveWrongCodesKillAChallenge(t *testing.T) {
	t.Parallel()
	h := setupFactorUser(t)
	challenge := h.challenge(t)
	for range 5 {
		h.wantRefused(t, challenge, h.wrong(t))
	}
	h.wantRefused(t, challenge, h.code(t, 1))
	_, err := h.answer(t.Context(), h.challenge(t), h.code(t, 1))
	must(t, err)
}

func TestS36TenWrongCodesInAnHourThrottle(t *testing.T) {
	t.Parallel()
	h := setupFactorUser(t)
	challenges := []string{h.challenge(t), h.challenge(t), h.challenge(t), h.challenge(t)}
	wrong := h.wrong(t)
	errs := make([]error, 40)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { _, errs[i] = h.answer(t.Context(), challenges[i%len(challenges)], wrong) })
	}
	group.Wait()
	judged := 0
	for _, err := range errs {
		if fault.Is(err, faultv1.Reason_REASON_FACTOR_INVALID) {
			judged++
		} else {
			wantReason(t, err, faultv1.Reason_REASON_RATE_LIMITED)
		}
	}
	if stored := adminText(t, h.bundle, "SELECT wrong::text FROM auth.factor_tries"); stored != "10" {
		t.Errorf("%s wrong codes were judged", stored)
	}
	_, err := h.answer(t.Context(), h.challenge(t), h.code(t, 1))
	wantReason(t, err, faultv1.Reason_REASON_RATE_LIMITED)
	if after := fault.From(err).RetryAfter(); after <= 0 || after > time.Hour {
		t.Errorf("to be tried again after %s", after)
	}
	h.clock.Advance(time.Hour)
	_, err = h.answer(t.Context(), h.challenge(t), h.code(t, 1))
	must(t, err)
}

func TestS37AChallengeIsOnceAndForFiveMinutesAndForItsUser(t *testing.T) {
	t.Parallel()
	h := setupFactorUser(t)
	used, expired := h.challenge(t), h.challenge(t)
	_, err := h.answer(t.Context(), used, h.code(t, 1))
	must(t, err)
	h.clock.Advance(5*time.Minute + time.Second)
	h.wantRefused(t, used, h.code(t, 0))
	h.wantRefused(t, expired, h.code(t, 0))
	h.wantRefused(t, "unknown", h.code(t, 0))

	h = setupFactorUser(t)
	ofAda, adas := h.challenge(t), h.secret
	bob, _ := h.signUp(t, "bob@example.org")
	h.enroll(t, "bob@example.org", bob)
	h.wantRefused(t, ofAda, h.code(t, 1)) // Bob's code
	h.wantRefused(t, h.challenge(t), h.recoveryCodes[0][:4])
	h.secret = adas
	_, err = h.answer(t.Context(), ofAda, h.code(t, 1))
	must(t, err)
	stored := adminText(t, h.bundle, "SELECT string_agg(c::text, ' ') FROM auth.factor_challenges c")
	if strings.Contains(stored, ofAda) {
		t.Error("a challenge rests in the clear")
	}
}

func TestS38NothingSkipsAnEnrolledFactor(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Now())
	h := &factorUser{bundle: setupWith(t, clk, auth.Config{}), clock: clk}
	enrolling, p := h.signUp(t, "ada@example.org")
	before := h.signIn(t, "ada@example.org")
	h.enroll(t, "ada@example.org", enrolling)

	// A session that began without the factor has ended.
	_, err := h.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: before.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	_, err = h.sessions.SwitchOrganization(with(t.Context(), before), &authv1.SwitchOrganizationRequest{OrganizationId: p.OrganizationID})
	wantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	// The one that enrolled it has shown it.
	switched, err := h.sessions.SwitchOrganization(with(t.Context(), enrolling), &authv1.SwitchOrganizationRequest{OrganizationId: p.OrganizationID})
	must(t, err)
	refreshed, err := h.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: switched.GetRefreshToken()})
	must(t, err)
	if got := h.principal(t, refreshed).Methods; !slices.Contains(got, "otp") {
		t.Errorf("the session has shown %v", got)
	}
	// Should one be left all the same, it gets no other session either.
	h.database.AdminExec(t, "UPDATE auth.sessions SET methods = ARRAY ['pwd']")
	_, err = h.sessions.SwitchOrganization(with(t.Context(), refreshed), &authv1.SwitchOrganizationRequest{OrganizationId: p.OrganizationID})
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = h.sessions.StepUp(with(t.Context(), refreshed), stepUpPassword(password))
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
}

func TestS39RecoveryCodesWorkOnceAndRestHashed(t *testing.T) {
	t.Parallel()
	h := setupFactorUser(t)
	if len(h.recoveryCodes) != 10 {
		t.Fatalf("there are %d codes", len(h.recoveryCodes))
	}
	stored := adminText(t, h.bundle, "SELECT string_agg(c::text, ' ') FROM auth.recovery_codes c")
	for _, code := range h.recoveryCodes {
		if strings.Contains(stored, code) || strings.Contains(stored, strings.ReplaceAll(code, "-", "")) {
			t.Error("a code rests in the clear")
		}
	}
	first := h.recoveryCodes[0]
	tokens, err := h.answer(t.Context(), h.challenge(t), strings.ToUpper(first))
	must(t, err)
	h.wantRefused(t, h.challenge(t), first)
	left, err := h.factors.GetFactors(with(t.Context(), tokens), &authv1.GetFactorsRequest{})
	must(t, err)
	if left.GetRecoveryCodesLeft() != 9 {
		t.Errorf("%d codes are left", left.GetRecoveryCodesLeft())
	}
	renewed, err := h.factors.CreateRecoveryCodes(with(t.Context(), tokens), &authv1.CreateRecoveryCodesRequest{})
	must(t, err)
	h.wantRefused(t, h.challenge(t), h.recoveryCodes[1])
	_, err = h.answer(t.Context(), h.challenge(t), renewed.GetRecoveryCodes()[1])
	must(t, err)
}

func TestS39RemovingAFactorNeedsOne(t *testing.T) {
	t.Parallel()
	h := setupFactorUser(t)
	_, err := h.factors.CreateTotp(with(t.Context(), h.tokens), &authv1.CreateTotpRequest{})
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = h.factors.DeleteTotp(with(t.Context(), h.tokens), &authv1.DeleteTotpRequest{})
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = h.sessions.StepUp(with(t.Context(), h.tokens), stepUpPassword(password))
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = h.sessions.StepUp(with(t.Context(), h.tokens), stepUpCode(h.wrong(t)))
	wantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
	tokens, err := h.sessions.StepUp(with(t.Context(), h.tokens), stepUpCode(h.code(t, 1)))
	must(t, err)
	_, err = h.factors.CreateTotp(with(t.Context(), tokens), &authv1.CreateTotpRequest{})
	wantReason(t, err, faultv1.Reason_REASON_ALREADY_EXISTS)
	_, err = h.factors.DeleteTotp(with(t.Context(), tokens), &authv1.DeleteTotpRequest{})
	must(t, err)
	_, err = h.factors.DeleteTotp(with(t.Context(), tokens), &authv1.DeleteTotpRequest{})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	if h.signIn(t, h.email).GetAccessToken() == "" {
		t.Error("a removed factor is asked for")
	}
	if stored := adminText(t, h.bundle, "SELECT count(*)::text FROM auth.recovery_codes"); stored != "0" {
		t.Errorf("%s recovery codes are left", stored)
	}
}

func TestConfirmingTakesARightCodeInTime(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Now().Add(-20 * time.Minute))
	h := &factorUser{bundle: setupWith(t, clk, auth.Config{}), clock: clk, email: "ada@example.org"}
	clk.Advance(10 * time.Minute)
	tokens, _ := h.signUp(t, h.email)
	confirm := func() error {
		_, err := h.factors.ConfirmTotp(with(t.Context(), tokens), &authv1.ConfirmTotpRequest{Code: h.code(t, 0)})
		return err
	}
	h.secret = "JBSWY3DPEHPK3PXP"
	wantReason(t, confirm(), faultv1.Reason_REASON_NOT_FOUND)
	_, err := h.factors.CreateTotp(with(t.Context(), tokens), &authv1.CreateTotpRequest{})
	must(t, err)
	wantReason(t, confirm(), faultv1.Reason_REASON_FACTOR_INVALID)
	if h.signIn(t, h.email).GetAccessToken() == "" {
		t.Error("an unconfirmed factor is asked for")
	}
	// A second secret takes the place of the first.
	created, err := h.factors.CreateTotp(with(t.Context(), tokens), &authv1.CreateTotpRequest{})
	must(t, err)
	h.secret = created.GetSecret()
	if !strings.HasPrefix(created.GetUri(), "otpauth://totp/Gatehouse:ada@example.org?") {
		t.Errorf("the URI is %s", created.GetUri())
	}
	clk.Advance(16 * time.Minute)
	wantReason(t, confirm(), faultv1.Reason_REASON_NOT_FOUND)
}

func TestS73TheAuthenticatorsSecretRestsSealedInItsRow(t *testing.T) {
	t.Parallel()
	h := setupFactorUser(t)
	if adminText(t, h.bundle, "SELECT position(convert_to($1, 'UTF8') IN sealed)::text FROM auth.totp_factors", h.secret) != "0" {
		t.Error("the secret rests in the clear")
	}
	bob, _ := h.signUp(t, "bob@example.org")
	adas := h.secret
	h.enroll(t, "bob@example.org", bob)
	h.secret = adas
	h.database.AdminExec(t, `UPDATE auth.totp_factors SET sealed = (SELECT sealed FROM auth.totp_factors ORDER BY id LIMIT 1)`)
	_, err := h.answer(t.Context(), h.challenge(t), h.code(t, 1))
	wantReason(t, err, faultv1.Reason_REASON_INTERNAL)
}

func TestS18StepUpMakesTheSessionFresh(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Now().Add(-8 * time.Minute))
	b := setupWith(t, clk, auth.Config{})
	old, p := b.signUp(t, "ada@example.org")
	clk.Advance(identity.MaxAuthAge + time.Second)
	_, err := b.factors.CreateTotp(with(t.Context(), old), &authv1.CreateTotpRequest{})
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = b.sessions.StepUp(with(t.Context(), old), stepUpPassword("wrong horse battery"))
	wantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	_, err = b.sessions.StepUp(with(t.Context(), old), stepUpCode("123456"))
	wantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
	_, err = b.sessions.StepUp(t.Context(), stepUpPassword(password))
	wantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)

	fresh, err := b.sessions.StepUp(with(t.Context(), old), stepUpPassword(password))
	must(t, err)
	got := b.principal(t, fresh)
	if got.SessionID != p.SessionID || got.AuthTime.Sub(p.AuthTime) < identity.MaxAuthAge || !slices.Equal(got.Methods, []string{"pwd"}) {
		t.Errorf("stepped up to %+v from %+v", got, p)
	}
	_, err = b.factors.CreateTotp(with(t.Context(), fresh), &authv1.CreateTotpRequest{})
	must(t, err)
	refreshed, err := b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: fresh.GetRefreshToken()})
	must(t, err)
	if again := b.principal(t, refreshed); !again.AuthTime.Equal(got.AuthTime) {
		t.Errorf("the refreshed token says %s", again.AuthTime)
	}
	// The refresh token from before is as one that was used.
	_, err = b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: old.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_REUSED)
	_, err = b.sessions.StepUp(with(t.Context(), fresh), stepUpPassword(password))
	wantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
}

func stepUpPassword(password string) *authv1.StepUpRequest {
	return &authv1.StepUpRequest{Credential: &authv1.StepUpRequest_Password{Password: password}}
}

func stepUpCode(code string) *authv1.StepUpRequest {
	return &authv1.StepUpRequest{Credential: &authv1.StepUpRequest_Code{Code: code}}
}

func TestUnansweredChallengesAreRemoved(t *testing.T) {
	t.Parallel()
	h := setupFactorUser(t)
	h.challenge(t)
	h.clock.Advance(6 * time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- h.service.Run(ctx) }()
	waitFor(t, func() bool {
		return adminText(t, h.bundle, "SELECT count(*)::text FROM auth.factor_challenges") == "0"
	})
	cancel()
	must(t, <-done)
}

func TestS38ASignInBesideTheEnrollmentDoesNotSkipIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := &factorUser{bundle: b, clock: clock.NewFake(time.Now()), email: "ada@example.org"}
	tokens, _ := b.signUp(t, h.email)
	created, err := b.factors.CreateTotp(with(t.Context(), tokens), &authv1.CreateTotpRequest{})
	must(t, err)
	h.secret = created.GetSecret()
	errs := make([]error, 8)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			_, errs[i] = b.sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: h.email, Password: password})
		})
		group.Go(func() { // only the first finds it unconfirmed
			_, _ = b.factors.ConfirmTotp(with(t.Context(), tokens), &authv1.ConfirmTotpRequest{Code: h.code(t, 0)})
		})
	}
	group.Wait()
	for _, err := range errs {
		must(t, err)
	}
	if left := adminText(t, b, "SELECT count(*)::text FROM auth.sessions WHERE revoked_at IS NULL AND NOT 'otp' = ANY (methods)"); left != "0" {
		t.Errorf("%s sessions have not shown the factor", left)
	}
}
