package auth_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/credential/session"
)

// S17: whoever signs up with one address in several spellings at once has one
// account, and no answer tells of a fault.
func TestS17SpellingsOfOneAddressAreOneAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	spellings := []string{"Ada@example.org", "ada@example.org", "ADA@EXAMPLE.ORG", "ａda@example.org", "ada@ｅxample.org"}
	errs := make([]error, len(spellings))
	var group sync.WaitGroup
	for i, address := range spellings {
		group.Go(func() {
			_, errs[i] = b.sessions.SignUp(t.Context(), &authv1.SignUpRequest{Email: address, Password: password})
		})
	}
	group.Wait()
	for i, err := range errs {
		if err != nil && !fault.Is(err, faultv1.Reason_REASON_EMAIL_TAKEN) && !fault.Is(err, faultv1.Reason_REASON_INVALID_ARGUMENT) {
			t.Errorf("%s: %v", spellings[i], err)
		}
	}
	if n := adminText(t, b, "SELECT count(*)::text FROM auth.users"); n != "1" {
		t.Errorf("%s accounts were made", n)
	}
	b.signIn(t, spellings[2])
}

// S21: whatever ends a session, nothing is refreshed from it.
func TestS21NothingIsRefreshedAfterTheEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *bundle, *authv1.TokenResponse) error{
		"signed out": func(t *testing.T, b *bundle, tokens *authv1.TokenResponse) error {
			t.Helper()
			_, err := b.sessions.SignOut(t.Context(), &authv1.SignOutRequest{RefreshToken: tokens.GetRefreshToken()})
			return err
		},
		"ended from another device": func(t *testing.T, b *bundle, tokens *authv1.TokenResponse) error {
			t.Helper()
			other := b.signIn(t, "ada@example.org")
			_, err := b.userSessions.DeleteUserSession(with(t.Context(), other), &authv1.DeleteUserSessionRequest{Id: b.principal(t, tokens).SessionID})
			return err
		},
		"disabled": func(t *testing.T, b *bundle, _ *authv1.TokenResponse) error {
			t.Helper()
			return b.service.DisableUser(t.Context(), "ada@example.org", true)
		},
		"password changed elsewhere": func(t *testing.T, b *bundle, _ *authv1.TokenResponse) error {
			t.Helper()
			_, err := b.accounts.ChangePassword(with(t.Context(), b.signIn(t, "ada@example.org")),
				&authv1.ChangePasswordRequest{CurrentPassword: password, NewPassword: "another staple entirely"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tokens, _ := b.signUp(t, "ada@example.org")
			must(t, end(t, b, tokens))
			for range 2 {
				_, err := b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
				wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
			}
		})
	}
}

// S25: a session has an age past which no refresh leads.
func TestS25RefreshingDoesNotMakeASessionOlderThanItMayBe(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now())
	b := setupWith(t, clk, auth.Config{})
	tokens, _ := b.signUp(t, "ada@example.org")
	const step = 24 * time.Hour
	age := time.Duration(0)
	for ; age+step < session.TTL; age += step {
		clk.Advance(step)
		next, err := b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
		if err != nil {
			t.Fatalf("after %s: %v", age, err)
		}
		tokens = next
	}
	clk.Advance(step + time.Second)
	_, err := b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
}

// S25: nor does going from one organization to another and back.
func TestS25SwitchingDoesNotMakeASignInLastLonger(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now().Add(-session.TTL / 2))
	b := setupWith(t, clk, auth.Config{})
	tokens, err := b.sessions.SignUp(t.Context(), &authv1.SignUpRequest{Email: "ada@example.org", Password: password})
	must(t, err)
	clk.Advance(session.TTL / 2)
	tokens = b.refreshed(t, tokens)
	again, err := b.sessions.SwitchOrganization(with(t.Context(), tokens), &authv1.SwitchOrganizationRequest{
		OrganizationId: b.principal(t, tokens).OrganizationID,
	})
	must(t, err)
	clk.Advance(session.TTL/2 + time.Second)
	_, err = b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: again.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
}

// S3: what refreshes, what signs programs in and what a service has are no
// access tokens.
func TestS3OtherSecretsAreNoAccessTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens, _ := b.signUp(t, "ada@example.org")
	for name, secret := range map[string]string{
		"refresh token": tokens.GetRefreshToken(),
		"half a token":  tokens.GetAccessToken()[:strings.LastIndex(tokens.GetAccessToken(), ".")],
	} {
		if _, err := b.verifier.Access(t.Context(), secret); !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
			t.Errorf("a %s: %v", name, err)
		}
	}
	// Nor is an access token what refreshes.
	_, err := b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetAccessToken()})
	if !fault.Is(err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID) && !fault.Is(err, faultv1.Reason_REASON_INVALID_ARGUMENT) {
		t.Errorf("refreshed with an access token: %v", err)
	}
}

// S18: a session that was left open makes no key that outlives it.
func TestS18NewKeysNeedAFreshSignIn(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now().Add(-8 * time.Minute))
	b := setupWith(t, clk, auth.Config{})
	tokens, _ := b.signUp(t, "ada@example.org")
	made := b.createKey(t, tokens, "chat.read")
	clk.Advance(identity.MaxAuthAge + time.Second)
	ctx := with(t.Context(), tokens)
	_, err := b.apiKeys.CreateApiKey(ctx, &authv1.CreateApiKeyRequest{ApiKey: &authv1.ApiKey{DisplayName: "x", Scopes: []string{"chat.read"}}})
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = b.apiKeys.RotateApiKey(ctx, &authv1.RotateApiKeyRequest{Id: made.GetApiKey().GetId()})
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	// Ending one needs no more than being there.
	_, err = b.apiKeys.DeleteApiKey(ctx, &authv1.DeleteApiKeyRequest{Id: made.GetApiKey().GetId()})
	must(t, err)
}

// S18: a session that was left open sends no client's codes elsewhere.
func TestS18ClientsAreChangedAfterAFreshSignIn(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now().Add(-8 * time.Minute))
	b := setupWith(t, clk, auth.Config{})
	tokens, _ := b.signUp(t, "ada@example.org")
	ctx, clients := with(t.Context(), tokens), authv1.NewOAuthClientServiceClient(b.conn)
	asked := &authv1.OAuthClient{
		DisplayName: "Reader", Confidential: true, Scopes: []string{"openid"}, RedirectUris: []string{"https://app.example/"},
	}
	made, err := clients.CreateOAuthClient(ctx, &authv1.CreateOAuthClientRequest{OauthClient: asked})
	must(t, err)
	clientID := made.GetOauthClient().GetId()
	move := func(ctx context.Context, uri string) error {
		_, err := clients.UpdateOAuthClient(ctx, &authv1.UpdateOAuthClientRequest{
			OauthClient: &authv1.OAuthClient{Id: clientID, RedirectUris: []string{uri}},
			UpdateMask:  &fieldmaskpb.FieldMask{Paths: []string{"redirect_uris"}},
		})
		return err
	}
	must(t, move(ctx, "https://new.example/"))
	clk.Advance(identity.MaxAuthAge + time.Second)
	wantReason(t, move(ctx, "https://evil.example/"), faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = clients.CreateOAuthClient(ctx, &authv1.CreateOAuthClientRequest{OauthClient: asked})
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = clients.RotateOAuthClientSecret(ctx, &authv1.RotateOAuthClientSecretRequest{Id: clientID})
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	kept, err := clients.GetOAuthClient(ctx, &authv1.GetOAuthClientRequest{Id: clientID})
	must(t, err)
	if uris := kept.GetRedirectUris(); len(uris) != 1 || uris[0] != "https://new.example/" {
		t.Errorf("codes go to %v", uris)
	}
	stepped, err := b.sessions.StepUp(ctx, stepUpPassword(password))
	must(t, err)
	must(t, move(with(t.Context(), stepped), "https://newer.example/"))
	// Ending one needs no more than being there.
	_, err = clients.DeleteOAuthClient(ctx, &authv1.DeleteOAuthClientRequest{Id: clientID})
	must(t, err)
	// The trail names the fields as the API's clients do.
	if got := adminText(t, b, "SELECT string_agg(DISTINCT field, ' ') FROM audit.events, jsonb_object_keys(changes) AS field WHERE resource_id = $1",
		clientID); got != "redirectUris" {
		t.Errorf("the trail names %q", got)
	}
}
