package factor_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestConfirmTotp_WrongOrLateCode_IsRefused(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Now().Add(-20 * time.Minute))
	h := &authtest.FactorUser{Bundle: authtest.SetupWith(t, clk, auth.Config{}), Clock: clk, Email: "ada@example.org"}
	clk.Advance(10 * time.Minute)
	tokens, _ := h.SignUp(t, h.Email)
	confirm := func() error {
		_, err := h.Factors.ConfirmTotp(authtest.With(t.Context(), tokens), &authv1.ConfirmTotpRequest{Code: h.Code(t, 0)})
		return err
	}
	h.Secret = "JBSWY3DPEHPK3PXP"
	authtest.WantReason(t, confirm(), faultv1.Reason_REASON_NOT_FOUND)
	_, err := h.Factors.CreateTotp(authtest.With(t.Context(), tokens), &authv1.CreateTotpRequest{})
	authtest.Must(t, err)
	authtest.WantReason(t, confirm(), faultv1.Reason_REASON_FACTOR_INVALID)
	if h.SignIn(t, h.Email).GetAccessToken() == "" {
		t.Error("an unconfirmed factor is required")
	}
	// A second secret replaces the first.
	created, err := h.Factors.CreateTotp(authtest.With(t.Context(), tokens), &authv1.CreateTotpRequest{})
	authtest.Must(t, err)
	h.Secret = created.GetSecret()
	if !strings.HasPrefix(created.GetUri(), "otpauth://totp/Gatehouse:ada@example.org?") {
		t.Errorf("the URI is %s", created.GetUri())
	}
	clk.Advance(16 * time.Minute)
	authtest.WantReason(t, confirm(), faultv1.Reason_REASON_NOT_FOUND)
}

func TestS73AuthenticatorSecretIsSealed(t *testing.T) {
	t.Parallel()
	h := authtest.SetupFactorUser(t)
	if authtest.AdminText(t, h.Bundle, "SELECT position(convert_to($1, 'UTF8') IN sealed)::text FROM auth.totp_factors", h.Secret) != "0" {
		t.Error("the secret is stored in plain text")
	}
	bob, _ := h.SignUp(t, "bob@example.org")
	adas := h.Secret
	h.Enroll(t, "bob@example.org", bob)
	h.Secret = adas
	h.Database.AdminExec(t, `UPDATE auth.totp_factors SET sealed = (SELECT sealed FROM auth.totp_factors ORDER BY id LIMIT 1)`)
	_, err := h.Answer(t.Context(), h.Challenge(t), h.Code(t, 1))
	authtest.WantReason(t, err, faultv1.Reason_REASON_INTERNAL)
}

func TestS38SignInDuringEnrollmentNeedsFactor(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	h := &authtest.FactorUser{Bundle: b, Clock: clock.NewFake(time.Now()), Email: "ada@example.org"}
	tokens, _ := b.SignUp(t, h.Email)
	created, err := b.Factors.CreateTotp(authtest.With(t.Context(), tokens), &authv1.CreateTotpRequest{})
	authtest.Must(t, err)
	h.Secret = created.GetSecret()
	errs := make([]error, 8)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			_, errs[i] = b.Sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: h.Email, Password: authtest.Password})
		})
		group.Go(func() { // only the first call finds it unconfirmed
			_, _ = b.Factors.ConfirmTotp(authtest.With(t.Context(), tokens), &authv1.ConfirmTotpRequest{Code: h.Code(t, 0)})
		})
	}
	group.Wait()
	for _, err := range errs {
		authtest.Must(t, err)
	}
	if left := authtest.AdminText(t, b, "SELECT count(*)::text FROM auth.sessions WHERE revoked_at IS NULL AND NOT 'otp' = ANY (methods)"); left != "0" {
		t.Errorf("%s sessions have not used the factor", left)
	}
}
