package browser_test

import (
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// oathtool returns the TOTP code of a secret at a time, from the program of this name.
func oathtool(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "oathtool", "--totp", "--base32", "--now", at.UTC().Format("2006-01-02 15:04:05 UTC"), secret).Output()
	must(t, err)
	return strings.TrimSpace(string(out))
}

func TestS35CodesOfOathtoolSignInOnce(t *testing.T) {
	t.Parallel()
	p := start(t)
	ada := p.SignUp(t, "ada@example.com")
	var created struct{ Secret, URI string }
	p.post(t, ada, "/v1/me/mfa/totp", map[string]any{}, &created)
	if !strings.HasPrefix(created.URI, "otpauth://totp/") || !strings.Contains(created.URI, "secret="+created.Secret) {
		t.Errorf("the URI is %s", created.URI)
	}
	// This uses the code of the previous time step, so that the current and the next stay unused.
	now := time.Now()
	var codes struct{ RecoveryCodes []string }
	p.post(t, ada, "/v1/me/mfa/totp:confirm", map[string]any{"code": oathtool(t, created.Secret, now.Add(-20*time.Second))}, &codes)

	half := p.signIn(t, "ada@example.com")
	if half.AccessToken != "" || half.MfaChallenge == nil || !slices.Contains(half.MfaChallenge.Methods, "totp") {
		t.Fatalf("a password alone: %+v", half)
	}
	next := oathtool(t, created.Secret, now.Add(30*time.Second))
	answer := func(code string) map[string]any {
		return map[string]any{"challengeId": p.signIn(t, "ada@example.com").MfaChallenge.ID, "code": code}
	}
	var whole tokens
	p.post(t, inprocess.Session{}, "/v1/auth/sign-in/mfa", map[string]any{"challengeId": half.MfaChallenge.ID, "code": next}, &whole)
	if got := whole.methods(t); !slices.Equal(got, []string{"pwd", "otp", "mfa"}) {
		t.Errorf("signed in by %v", got)
	}
	for _, used := range []string{next, oathtool(t, created.Secret, now)} {
		if reason := p.postRefused(t, inprocess.Session{}, "/v1/auth/sign-in/mfa", answer(used), http.StatusUnauthorized); reason != "FACTOR_INVALID" {
			t.Errorf("a used or older code: %s", reason)
		}
	}
	// A recovery code works once.
	p.post(t, inprocess.Session{}, "/v1/auth/sign-in/mfa", answer(codes.RecoveryCodes[0]), &whole)
	if reason := p.postRefused(t, inprocess.Session{}, "/v1/auth/sign-in/mfa", answer(codes.RecoveryCodes[0]), http.StatusUnauthorized); reason != "FACTOR_INVALID" {
		t.Errorf("a recovery code again: %s", reason)
	}
}

func TestS39RemovingTheAuthenticatorNeedsACode(t *testing.T) {
	t.Parallel()
	p := start(t)
	ada := p.SignUp(t, "ada@example.com")
	var created struct{ Secret string }
	p.post(t, ada, "/v1/me/mfa/totp", map[string]any{}, &created)
	now := time.Now()
	p.post(t, ada, "/v1/me/mfa/totp:confirm", map[string]any{"code": oathtool(t, created.Secret, now.Add(-20*time.Second))}, &struct{}{})
	resp := p.Request(t, ada, http.MethodDelete, "/v1/me/mfa/totp", nil)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("removed without a code: %d", resp.StatusCode)
	}
	var fresh tokens
	p.post(t, ada, "/v1/auth/step-up", map[string]any{"code": oathtool(t, created.Secret, now.Add(30*time.Second))}, &fresh)
	ada.AccessToken = fresh.AccessToken
	inprocess.Decode(t, p.Request(t, ada, http.MethodDelete, "/v1/me/mfa/totp", nil), &struct{}{})
	if whole := p.signIn(t, "ada@example.com"); whole.AccessToken == "" {
		t.Error("a removed factor is requested")
	}
}
