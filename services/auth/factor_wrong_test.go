package auth_test

import (
	"sync"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const wrongCodes = "Wrong sign-in codes for your account"

// wrongCodeMail returns how many letters about wrong codes were sent or queued in this hour.
func (h *factorUser) wrongCodeMail(t *testing.T) string {
	t.Helper()
	return adminText(t, h.bundle, "SELECT coalesce(sum(letters), 0)::text FROM auth.letter_counts WHERE kind = 'factor_wrong'")
}

// S93: the user gets one mail an hour when somebody who knows the password tries
// codes.
func TestS93WrongCodesAfterARightPasswordAreTold(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Now())
	p := setupMail(t, clk, false)
	h := &factorUser{bundle: p.bundle, clock: clk}
	h.tokens, _ = h.signUp(t, "ada@example.org")
	h.enroll(t, "ada@example.org", h.tokens)
	wrong := h.wrong(t)
	for range 2 {
		h.wantRefused(t, h.challenge(t), wrong)
	}
	if told := h.wrongCodeMail(t); told != "0" {
		t.Errorf("told %s times of two slips", told)
	}
	// A right code between wrong ones does not reset the count, and does not
	// count as wrong.
	_, err := h.answer(t.Context(), h.challenge(t), h.code(t, 1))
	must(t, err)
	h.wantRefused(t, h.challenge(t), wrong)
	p.server.Wait(t, "ada@example.org", wrongCodes)
	var group sync.WaitGroup
	challenge := h.challenge(t)
	for range 4 {
		group.Go(func() { _, _ = h.answer(t.Context(), challenge, wrong) })
	}
	group.Wait()
	if told := h.wrongCodeMail(t); told != "1" {
		t.Errorf("told %s times of one burst", told)
	}
	// In another hour, another burst causes another mail. A wrong code of a
	// step-up counts too.
	h.clock.Advance(time.Hour + time.Minute)
	h.database.AdminExec(t, "DELETE FROM auth.letter_counts")
	wrong = h.wrong(t)
	for range 2 {
		h.wantRefused(t, h.challenge(t), wrong)
	}
	_, err = h.sessions.StepUp(with(t.Context(), h.tokens), stepUpCode(wrong))
	wantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
	if told := h.wrongCodeMail(t); told != "1" {
		t.Errorf("told %s times of the second burst", told)
	}
}
