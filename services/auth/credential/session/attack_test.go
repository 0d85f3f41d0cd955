package session_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/credential/session"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// S17: concurrent sign-ups with spellings of one address create one account, and none
// fails with an internal error.
func TestS17SpellingsOfAddressAreOneAccount(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	spellings := []string{"Ada@example.org", "ada@example.org", "ADA@EXAMPLE.ORG", "ａda@example.org", "ada@ｅxample.org"}
	errs := make([]error, len(spellings))
	var group sync.WaitGroup
	for i, address := range spellings {
		group.Go(func() {
			_, errs[i] = b.Sessions.SignUp(t.Context(), &authv1.SignUpRequest{Email: address, Password: authtest.Password})
		})
	}
	group.Wait()
	for i, err := range errs {
		if err != nil && !fault.Is(err, faultv1.Reason_REASON_EMAIL_TAKEN) && !fault.Is(err, faultv1.Reason_REASON_INVALID_ARGUMENT) {
			t.Errorf("%s: %v", spellings[i], err)
		}
	}
	if n := authtest.AdminText(t, b, "SELECT count(*)::text FROM auth.users"); n != "1" {
		t.Errorf("%s accounts were created", n)
	}
	b.SignIn(t, spellings[2])
}

// S21: however a session ends, it cannot be refreshed.
func TestS21EndedSessionCannotRefresh(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *authtest.Bundle, *authv1.TokenResponse) error{
		"signed out": func(t *testing.T, b *authtest.Bundle, tokens *authv1.TokenResponse) error {
			t.Helper()
			_, err := b.Sessions.SignOut(t.Context(), &authv1.SignOutRequest{RefreshToken: tokens.GetRefreshToken()})
			return err
		},
		"ended from another device": func(t *testing.T, b *authtest.Bundle, tokens *authv1.TokenResponse) error {
			t.Helper()
			other := b.SignIn(t, "ada@example.org")
			_, err := b.UserSessions.DeleteUserSession(authtest.With(t.Context(), other), &authv1.DeleteUserSessionRequest{Id: b.Principal(t, tokens).SessionID})
			return err
		},
		"disabled": func(t *testing.T, b *authtest.Bundle, _ *authv1.TokenResponse) error {
			t.Helper()
			return b.Service.DisableUser(t.Context(), "ada@example.org", true)
		},
		"password changed elsewhere": func(t *testing.T, b *authtest.Bundle, _ *authv1.TokenResponse) error {
			t.Helper()
			_, err := b.Accounts.ChangePassword(authtest.With(t.Context(), b.SignIn(t, "ada@example.org")),
				&authv1.ChangePasswordRequest{CurrentPassword: authtest.Password, NewPassword: "another staple entirely"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := authtest.Setup(t)
			tokens, _ := b.SignUp(t, "ada@example.org")
			authtest.Must(t, end(t, b, tokens))
			for range 2 {
				_, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
				authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
			}
		})
	}
}

// S25: no refresh extends a session past its maximal age.
func TestS25RefreshingDoesNotExtendSession(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	b := authtest.SetupWith(t, clk, auth.Config{})
	tokens, _ := b.SignUp(t, "ada@example.org")
	const step = 24 * time.Hour
	age := time.Duration(0)
	for ; age+step < session.TTL; age += step {
		clk.Advance(step)
		next, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
		if err != nil {
			t.Fatalf("after %s: %v", age, err)
		}
		tokens = next
	}
	clk.Advance(step + time.Second)
	_, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
}

// S25: switching to another organization and back does not extend it either.
func TestS25SwitchingDoesNotExtendSession(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now().Add(-session.TTL / 2))
	b := authtest.SetupWith(t, clk, auth.Config{})
	tokens, err := b.Sessions.SignUp(t.Context(), &authv1.SignUpRequest{Email: "ada@example.org", Password: authtest.Password})
	authtest.Must(t, err)
	clk.Advance(session.TTL / 2)
	tokens = b.Refreshed(t, tokens)
	again, err := b.Sessions.SwitchOrganization(authtest.With(t.Context(), tokens), &authv1.SwitchOrganizationRequest{
		OrganizationId: b.Principal(t, tokens).OrganizationID,
	})
	authtest.Must(t, err)
	clk.Advance(session.TTL/2 + time.Second)
	_, err = b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: again.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
}

// S3: refresh tokens, client secrets and service tokens are not access tokens.
func TestS3OtherSecretsAreNotAccessTokens(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	tokens, _ := b.SignUp(t, "ada@example.org")
	for name, secret := range map[string]string{
		"refresh token": tokens.GetRefreshToken(),
		"half a token":  tokens.GetAccessToken()[:strings.LastIndex(tokens.GetAccessToken(), ".")],
	} {
		if _, err := b.Verifier.Access(t.Context(), secret); !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
			t.Errorf("a %s: %v", name, err)
		}
	}
	// An access token is not a refresh token.
	_, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetAccessToken()})
	if !fault.Is(err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID) && !fault.Is(err, faultv1.Reason_REASON_INVALID_ARGUMENT) {
		t.Errorf("refreshed with an access token: %v", err)
	}
}
