package factor_test

import (
	"sync"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

const wrongCodes = "Wrong sign-in codes for your account"

// S93: the user gets one email an hour when somebody who knows the password tries
// codes.
func TestS93WrongCodesInformUser(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Now())
	p := authtest.SetupMail(t, clk, false)
	h := &authtest.FactorUser{Bundle: p.Bundle, Clock: clk}
	h.Tokens, _ = h.SignUp(t, "ada@example.org")
	h.Enroll(t, "ada@example.org", h.Tokens)
	wrong := h.WrongCode(t)
	for range 2 {
		h.WantRefused(t, h.Challenge(t), wrong)
	}
	if sent := h.WrongCodeMails(t); sent != "0" {
		t.Errorf("%s emails about two mistakes", sent)
	}
	// A right code between wrong ones does not reset the count, and does not
	// count as wrong.
	_, err := h.Answer(t.Context(), h.Challenge(t), h.Code(t, 1))
	authtest.Must(t, err)
	h.WantRefused(t, h.Challenge(t), wrong)
	p.Server.Wait(t, "ada@example.org", wrongCodes)
	var group sync.WaitGroup
	challenge := h.Challenge(t)
	for range 4 {
		group.Go(func() { _, _ = h.Answer(t.Context(), challenge, wrong) })
	}
	group.Wait()
	if sent := h.WrongCodeMails(t); sent != "1" {
		t.Errorf("%s emails about one burst", sent)
	}
	// In another hour, another burst causes another email. A wrong code of a
	// step-up counts too.
	h.Clock.Advance(time.Hour + time.Minute)
	h.Database.AdminExec(t, "DELETE FROM auth.letter_counts")
	wrong = h.WrongCode(t)
	for range 2 {
		h.WantRefused(t, h.Challenge(t), wrong)
	}
	_, err = h.Sessions.StepUp(authtest.With(t.Context(), h.Tokens), authtest.StepUpCode(wrong))
	authtest.WantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
	if sent := h.WrongCodeMails(t); sent != "1" {
		t.Errorf("%s emails about the second burst", sent)
	}
}
