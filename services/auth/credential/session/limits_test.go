package session_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/rpcclient"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// throttled is a service that limits wrong passwords, behind a gateway.
type throttled struct {
	*authtest.Bundle
	gateway string
}

func setupThrottled(t *testing.T) *throttled {
	t.Helper()
	b := authtest.SetupWith(t, clock.System(), auth.Config{RateLimits: true})
	return &throttled{Bundle: b, gateway: serviceToken(t, b)}
}

// serviceToken returns the gateway's token. With it, the service trusts the client
// address that the gateway reports.
func serviceToken(t *testing.T, b *authtest.Bundle) string {
	t.Helper()
	secret, err := rpcclient.ServiceSecret(pgtest.SecretKey(), "gateway")
	authtest.Must(t, err)
	issued, err := b.ServiceTokens.IssueServiceToken(t.Context(), &authv1.IssueServiceTokenRequest{
		ClientId: "gateway", ClientSecret: secret, Audience: "auth",
	})
	authtest.Must(t, err)
	return issued.GetAccessToken()
}

// fromAddress returns a context that calls from an address.
func (l *throttled) fromAddress(ctx context.Context, address string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, rpcserver.MetadataServiceToken, l.gateway, rpcserver.MetadataClientIP, address)
}

func (l *throttled) trySignIn(ctx context.Context, address, email, password string) error {
	_, err := l.Sessions.SignIn(l.fromAddress(ctx, address), &authv1.SignInRequest{Email: email, Password: password})
	return err
}

func wantThrottled(t *testing.T, err error) {
	t.Helper()
	authtest.WantReason(t, err, faultv1.Reason_REASON_RATE_LIMITED)
	if after := fault.From(err).RetryAfter(); after <= 0 || after > time.Minute {
		t.Errorf("retry after %s", after)
	}
}

func TestS11WrongPasswordsLimitOnlyTheirAddress(t *testing.T) {
	t.Parallel()
	l := setupThrottled(t)
	l.SignUp(t, "ada@example.org")
	for _, email := range []string{"ada@example.org", "nobody@example.org"} {
		errs := make([]error, 20)
		var group sync.WaitGroup
		for i := range errs {
			group.Go(func() {
				errs[i] = l.trySignIn(t.Context(), "192.0.2.1", email, "wrong horse battery")
			})
		}
		group.Wait()
		checked := 0
		for _, err := range errs {
			if fault.Is(err, faultv1.Reason_REASON_INVALID_CREDENTIALS) {
				checked++
			} else {
				wantThrottled(t, err)
			}
		}
		if checked != 9 {
			t.Errorf("%d wrong passwords of %s were checked", checked, email)
		}
	}
	// In any spelling of the address, even the right password is not checked.
	wantThrottled(t, l.trySignIn(t.Context(), "192.0.2.1", "ADA@example.org", authtest.Password))
	authtest.Must(t, l.trySignIn(t.Context(), "192.0.2.2", "ada@example.org", authtest.Password))
	authtest.Must(t, l.trySignIn(t.Context(), "2001:db8::1", "ada@example.org", authtest.Password))
}

func TestSignIn_RightPasswords_AreNotLimited(t *testing.T) {
	t.Parallel()
	l := setupThrottled(t)
	l.SignUp(t, "ada@example.org")
	for range 20 {
		authtest.Must(t, l.trySignIn(t.Context(), "192.0.2.1", "ada@example.org", authtest.Password))
	}
}

func TestS12OnePasswordForManyAccountsIsLimited(t *testing.T) {
	t.Parallel()
	l := setupThrottled(t)
	for name, address := range map[string]func(i int) string{
		"one IPv4 address": func(int) string { return "192.0.2.1" },
		"one IPv6 network": func(i int) string { return fmt.Sprintf("2001:db8:0:1:%x::%x", i, i) },
	} {
		var err error
		tries := 0
		for ; err == nil || fault.Is(err, faultv1.Reason_REASON_INVALID_CREDENTIALS); tries++ {
			if tries > 200 {
				t.Fatalf("%s: %d accounts were attempted", name, tries)
			}
			err = l.trySignIn(t.Context(), address(tries), fmt.Sprintf("user%d@example.org", tries), "correct horse battery")
		}
		wantThrottled(t, err)
		if tries <= 50 {
			t.Errorf("%s: a whole network is locked out after %d attempts", name, tries)
		}
	}
	l.SignUp(t, "ada@example.org")
	authtest.Must(t, l.trySignIn(t.Context(), "2001:db8:0:2::1", "ada@example.org", authtest.Password))
}

func TestStepUp_WrongPasswords_AreLimited(t *testing.T) {
	t.Parallel()
	l := setupThrottled(t)
	tokens, _ := l.SignUp(t, "ada@example.org")
	for range 9 {
		_, err := l.Sessions.StepUp(l.fromAddress(authtest.With(t.Context(), tokens), "192.0.2.1"), authtest.StepUpPassword("wrong horse battery"))
		authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	}
	_, err := l.Sessions.StepUp(l.fromAddress(authtest.With(t.Context(), tokens), "192.0.2.1"), authtest.StepUpPassword(authtest.Password))
	wantThrottled(t, err)
	authtest.Must(t, l.trySignIn(t.Context(), "192.0.2.1", "ada@example.org", authtest.Password))
}

// S11: a signed-in user cannot guess a password any faster, wherever a password is
// required.
func TestS11WrongPasswordsOfSignedInUserAreLimited(t *testing.T) {
	t.Parallel()
	l := setupThrottled(t)
	tokens, _ := l.SignUp(t, "ada@example.org")
	guess := map[string]func(ctx context.Context, password string) error{
		"change of password": func(ctx context.Context, password string) error {
			_, err := l.Accounts.ChangePassword(ctx, &authv1.ChangePasswordRequest{CurrentPassword: password, NewPassword: authtest.OtherPassword})
			return err
		},
		"change of address": func(ctx context.Context, password string) error {
			_, err := authv1.NewEmailServiceClient(l.Conn).ChangeEmail(ctx, &authv1.ChangeEmailRequest{NewEmail: "eve@example.org", Password: password})
			return err
		},
		"step-up": func(ctx context.Context, password string) error {
			_, err := l.Sessions.StepUp(ctx, authtest.StepUpPassword(password))
			return err
		},
	}
	from := l.fromAddress(authtest.With(t.Context(), tokens), "192.0.2.1")
	for range 3 {
		for what, try := range guess {
			if err := try(from, "wrong horse battery"); !fault.Is(err, faultv1.Reason_REASON_INVALID_CREDENTIALS) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	for what, try := range guess {
		if err := try(from, authtest.Password); !fault.Is(err, faultv1.Reason_REASON_RATE_LIMITED) {
			t.Errorf("%s after nine wrong passwords: %v", what, err)
		}
	}
	authtest.Must(t, guess["change of password"](l.fromAddress(authtest.With(t.Context(), tokens), "192.0.2.2"), authtest.Password))
}

// S12: a network cannot guess codes of emails more often than passwords, however many
// sign-ins it begins. Other networks are not affected.
func TestS12EmailCodesOfNetworkAreLimited(t *testing.T) {
	t.Parallel()
	l := setupThrottled(t)
	try := func(address string) error {
		_, err := l.Sessions.FinishEmailSignIn(l.fromAddress(t.Context(), address), &authv1.FinishEmailSignInRequest{
			ChallengeId: id.New(), Credential: &authv1.FinishEmailSignInRequest_Code{Code: "123456"},
		})
		return err
	}
	var err error
	tries := 0
	for ; err == nil || fault.Is(err, faultv1.Reason_REASON_TOKEN_INVALID); tries++ {
		if tries > 200 {
			t.Fatalf("%d codes were attempted", tries)
		}
		err = try("192.0.2.1")
	}
	wantThrottled(t, err)
	authtest.WantReason(t, try("192.0.2.2"), faultv1.Reason_REASON_TOKEN_INVALID)
}
