package auth_test

import (
	"sync"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const wrongCodes = "Wrong sign-in codes for your account"

// told counts the letters about wrong codes that are on their way or were sent, of the
// hour.
func (h *holder) told(t *testing.T) string {
	t.Helper()
	return adminText(t, h.bundle, "SELECT coalesce(sum(letters), 0)::text FROM auth.letter_counts WHERE kind = 'factor_wrong'")
}

// S93: who knows the password and tries codes is told of to the user, once for all the
// tries of an hour.
func TestS93WrongCodesAfterARightPasswordAreTold(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Now())
	p := setupPost(t, clk, false)
	h := &holder{bundle: p.bundle, clock: clk}
	h.tokens, _ = h.signUp(t, "ada@example.org")
	h.enroll(t, "ada@example.org", h.tokens)
	wrong := h.wrong(t)
	for range 2 {
		h.wantRefused(t, h.challenge(t), wrong)
	}
	if told := h.told(t); told != "0" {
		t.Errorf("told %s times of two slips", told)
	}
	// A right code between them makes no burst forgotten, and is none itself.
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
	if told := h.told(t); told != "1" {
		t.Errorf("told %s times of one burst", told)
	}
	// Another hour, another burst. A code to step up counts beside those.
	h.clock.Advance(time.Hour + time.Minute)
	h.database.AdminExec(t, "DELETE FROM auth.letter_counts")
	wrong = h.wrong(t)
	for range 2 {
		h.wantRefused(t, h.challenge(t), wrong)
	}
	_, err = h.sessions.StepUp(with(t.Context(), h.tokens), stepUpCode(wrong))
	wantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
	if told := h.told(t); told != "1" {
		t.Errorf("told %s times of the second burst", told)
	}
}
