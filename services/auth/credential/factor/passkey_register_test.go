package factor_test

import (
	"slices"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/credential/factor/keystub"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestFinishPasskey_WrongUserOrSecondUse_IsRefused(t *testing.T) {
	t.Parallel()
	h := setupPasskeyUser(t)
	bob, _ := h.SignUp(t, "bob@example.org")
	eve, _ := h.SignUp(t, "eve@example.org")
	ceremony, err := h.Passkeys.BeginPasskey(authtest.With(t.Context(), bob), &authv1.BeginPasskeyRequest{})
	authtest.Must(t, err)
	answer, err := authtest.NewPasskey(t).Register(ceremony.GetPublicKey().AsMap())
	authtest.Must(t, err)
	finish := func(tokens *authv1.TokenResponse, challenge string, answer map[string]any) error {
		_, err := h.Passkeys.FinishPasskey(authtest.With(t.Context(), tokens), &authv1.FinishPasskeyRequest{ChallengeId: challenge, Credential: authtest.ToStruct(t, answer)})
		return err
	}
	authtest.WantReason(t, finish(eve, ceremony.GetChallengeId(), answer), faultv1.Reason_REASON_FACTOR_INVALID)
	authtest.WantReason(t, finish(bob, ceremony.GetChallengeId(), answer), faultv1.Reason_REASON_FACTOR_INVALID)
	authtest.WantReason(t, finish(bob, h.BeginPasskeySignIn(t, "").GetChallengeId(), answer), faultv1.Reason_REASON_FACTOR_INVALID)
	// A key that another user registered.
	ceremony, err = h.Passkeys.BeginPasskey(authtest.With(t.Context(), bob), &authv1.BeginPasskeyRequest{})
	authtest.Must(t, err)
	answer, err = h.key.Register(ceremony.GetPublicKey().AsMap())
	authtest.Must(t, err)
	authtest.WantReason(t, finish(bob, ceremony.GetChallengeId(), answer), faultv1.Reason_REASON_ALREADY_EXISTS)
	ceremony, err = h.Passkeys.BeginPasskey(authtest.With(t.Context(), bob), &authv1.BeginPasskeyRequest{})
	authtest.Must(t, err)
	authtest.WantReason(t, finish(bob, ceremony.GetChallengeId(), map[string]any{"id": "nonsense"}), faultv1.Reason_REASON_FACTOR_INVALID)
}

func TestS18PasskeysNeedRecentSignIn(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Now().Add(-8 * time.Minute))
	b := authtest.SetupWith(t, clk, auth.Config{})
	tokens, _ := b.SignUp(t, "ada@example.org")
	clk.Advance(identity.MaxAuthAge + time.Second)
	_, err := b.Passkeys.BeginPasskey(authtest.With(t.Context(), tokens), &authv1.BeginPasskeyRequest{})
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
}

func TestS39RemovingPasskeyNeedsFactor(t *testing.T) {
	t.Parallel()
	h := setupPasskeyUser(t)
	remove := func(tokens *authv1.TokenResponse, id string) error {
		_, err := h.Passkeys.DeletePasskey(authtest.With(t.Context(), tokens), &authv1.DeletePasskeyRequest{Id: id})
		return err
	}
	own := h.registered.GetPasskey().GetId()
	authtest.WantReason(t, remove(h.tokens, own), faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err := h.Passkeys.BeginPasskey(authtest.With(t.Context(), h.tokens), &authv1.BeginPasskeyRequest{})
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)

	bob, _ := h.SignUp(t, "bob@example.org")
	bobs := authtest.NewPasskey(t)
	bobsKey := h.RegisterPasskey(t, bob, bobs).GetPasskey().GetId()
	stepUp := func(tokens *authv1.TokenResponse, key *keystub.Key) (*authv1.TokenResponse, error) {
		return h.Sessions.StepUp(authtest.With(t.Context(), tokens), &authv1.StepUpRequest{
			Credential: &authv1.StepUpRequest_Passkey{Passkey: authtest.SignPasskey(t, key, h.BeginPasskeySignIn(t, ""))},
		})
	}
	_, err = stepUp(h.tokens, bobs)
	authtest.WantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
	fresh, err := stepUp(h.tokens, h.key)
	authtest.Must(t, err)
	if got := h.Principal(t, fresh); got.SessionID != h.Principal(t, h.tokens).SessionID || !slices.Contains(got.Methods, "hwk") {
		t.Errorf("stepped up to %+v", got)
	}
	authtest.WantReason(t, remove(fresh, bobsKey), faultv1.Reason_REASON_NOT_FOUND)
	authtest.WantReason(t, remove(fresh, id.New()), faultv1.Reason_REASON_NOT_FOUND)
	// A second factor creates no recovery codes, and keeps the existing ones.
	second := authtest.NewPasskey(t)
	if codes := h.RegisterPasskey(t, fresh, second).GetRecoveryCodes(); len(codes) != 0 {
		t.Errorf("%d new recovery codes", len(codes))
	}
	authtest.Must(t, remove(fresh, own))
	h.WantPasskeyRefused(t, authtest.SignPasskey(t, h.key, h.BeginPasskeySignIn(t, "")))
	left, err := h.Factors.GetFactors(authtest.With(t.Context(), fresh), &authv1.GetFactorsRequest{})
	authtest.Must(t, err)
	if !slices.Equal(left.GetMethods(), []string{"passkey", "recovery_code"}) {
		t.Errorf("left are %v", left.GetMethods())
	}
}

func TestEnroll_AnotherFactor_KeepsOtherSessions(t *testing.T) {
	t.Parallel()
	h := setupPasskeyUser(t)
	other, err := h.FinishPasskeySignIn(t, authtest.SignPasskey(t, h.key, h.BeginPasskeySignIn(t, "")))
	authtest.Must(t, err)
	fresh, err := h.FinishPasskeySignIn(t, authtest.SignPasskey(t, h.key, h.BeginPasskeySignIn(t, "")))
	authtest.Must(t, err)
	totp := &authtest.FactorUser{Bundle: h.Bundle, Clock: h.clock}
	totp.Enroll(t, h.email, fresh)
	h.RegisterPasskey(t, fresh, authtest.NewPasskey(t))
	for _, tokens := range []*authv1.TokenResponse{other, h.tokens} {
		_, err = h.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
		authtest.Must(t, err)
	}
	methods := h.SignIn(t, h.email).GetMfaChallenge().GetMethods()
	if !slices.Equal(methods, []string{"totp", "passkey", "recovery_code"}) {
		t.Errorf("the challenge accepts %v", methods)
	}
}
