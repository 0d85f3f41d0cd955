package session_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/revocation"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestSignUp_ThenSignIn_ReturnsTokens(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	tokens, p := b.SignUp(t, "Ada@Example.org")
	if tokens.GetTokenType() != "Bearer" || tokens.GetExpiresIn() != 900 || tokens.GetUser().GetEmail() != "Ada@Example.org" ||
		tokens.GetUser().GetDisplayName() != "Ada" {
		t.Errorf("signed up as %v", tokens.GetUser())
	}
	if len(p.Roles) != 1 || p.Roles[0] != "owner" || p.UserID != tokens.GetUser().GetId() {
		t.Errorf("the token has %+v", p)
	}
	again := b.Principal(t, b.SignIn(t, "aDA@example.ORG"))
	if again.UserID != p.UserID || again.OrganizationID != p.OrganizationID || again.SessionID == p.SessionID {
		t.Errorf("signed in as %+v", again)
	}
	_, err := b.Sessions.SignUp(t.Context(), &authv1.SignUpRequest{Email: "ADA@example.org", Password: authtest.Password})
	authtest.WantReason(t, err, faultv1.Reason_REASON_EMAIL_TAKEN)
	_, err = b.Sessions.SignUp(t.Context(), &authv1.SignUpRequest{Email: "eve@example.org", Password: "password12345"})
	if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != "password" {
		t.Errorf("a weak password returned %v", err)
	}
	authtest.WantActions(t, b, p.OrganizationID, "auth.user.created", "auth.session.created", "auth.session.created")
}

func TestS9WrongCredentialsHaveSameResponse(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	b.SignUp(t, "ada@example.org")
	b.SignUp(t, "off@example.org")
	b.Database.AdminExec(t, "UPDATE auth.users SET disabled = true WHERE email = 'off@example.org'")
	var details []string
	for _, c := range [][2]string{{"ada@example.org", "wrong horse battery"}, {"nobody@example.org", authtest.Password}, {"off@example.org", authtest.Password}} {
		_, err := b.Sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: c[0], Password: c[1]})
		authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
		details = append(details, fault.From(err).Detail())
	}
	if details[0] != details[1] || details[1] != details[2] {
		t.Errorf("the responses differ: %q", details)
	}
}

func TestS20RefreshWorksOnceAndReuseEndsTheSession(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	first, p := b.SignUp(t, "ada@example.org")
	second, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: first.GetRefreshToken()})
	authtest.Must(t, err)
	if got := b.Principal(t, second); got.SessionID != p.SessionID || !got.AuthTime.Equal(p.AuthTime) {
		t.Errorf("refreshed as %+v", got)
	}
	for range 2 {
		_, err = b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: first.GetRefreshToken()})
		authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_REUSED)
	}
	_, err = b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: second.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	_, err = b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: "unknown"})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	authtest.WantActions(t, b, p.OrganizationID, "auth.user.created", "auth.session.created", "auth.session.reuse_detected")
}

// S20: the sessions that a thief opened from a stolen session end with it.
func TestS20ReuseEndsOpenedSessions(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, p := b.SignUp(t, "ada@example.org")
	other := b.SignIn(t, "ada@example.org")
	created, err := b.Organizations.CreateOrganization(authtest.With(t.Context(), ada), &authv1.CreateOrganizationRequest{
		Organization: &authv1.Organization{DisplayName: "Library"},
	})
	authtest.Must(t, err)
	into := func(tokens *authv1.TokenResponse, organizationID string) *authv1.TokenResponse {
		t.Helper()
		switched, err := b.Sessions.SwitchOrganization(authtest.With(t.Context(), tokens), &authv1.SwitchOrganizationRequest{OrganizationId: organizationID})
		authtest.Must(t, err)
		return switched
	}
	stolen, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: ada.GetRefreshToken()})
	authtest.Must(t, err)
	elsewhere := into(stolen, created.GetId())
	back := into(elsewhere, p.OrganizationID)
	since := clock.System().Now()
	_, err = b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: ada.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_REUSED)
	found, err := b.Service.Revocations(t.Context(), since)
	authtest.Must(t, err)
	for what, tokens := range map[string]*authv1.TokenResponse{"the session": stolen, "another organization's": elsewhere, "that one's": back} {
		_, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
		if !fault.Is(err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID) {
			t.Errorf("%s still works: %v", what, err)
		}
		if id := b.Principal(t, tokens).SessionID; !slices.ContainsFunc(found, func(r revocation.Revocation) bool { return r.SessionID == id }) {
			t.Errorf("the access token of %s is still valid", what)
		}
	}
	authtest.WantActions(t, b, created.GetId(), "auth.organization.created", "auth.session.created", "auth.session.reuse_detected")
	_, err = b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: other.GetRefreshToken()})
	authtest.Must(t, err) // another sign-in
	// Ending an opened session does not end the session that opened it.
	first := b.SignIn(t, "ada@example.org")
	second := into(first, created.GetId())
	_, err = b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: second.GetRefreshToken()})
	authtest.Must(t, err)
	_, err = b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: second.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_REUSED)
	_, err = b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: first.GetRefreshToken()})
	authtest.Must(t, err)
}

func TestS19ConcurrentRefreshHasOneWinner(t *testing.T) {
	t.Parallel()
	const rounds, racers = 20, 8
	b := authtest.Setup(t)
	b.SignUp(t, "ada@example.org")
	for range rounds {
		token := b.SignIn(t, "ada@example.org").GetRefreshToken()
		answers, errs := make([]*authv1.TokenResponse, racers), make([]error, racers)
		var group sync.WaitGroup
		for i := range racers {
			group.Go(func() {
				answers[i], errs[i] = b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: token})
			})
		}
		group.Wait()
		var winner string
		for i, err := range errs {
			switch {
			case err != nil:
				authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_REUSED)
			case winner != "":
				t.Fatal("two refreshes succeeded")
			default:
				winner = answers[i].GetRefreshToken()
			}
		}
		if winner == "" {
			t.Fatal("no refresh succeeded")
		}
		_, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: winner})
		authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	}
}

func TestS21SignedOutSessionCannotRefresh(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	tokens, p := b.SignUp(t, "ada@example.org")
	for _, token := range []string{tokens.GetRefreshToken(), tokens.GetRefreshToken(), "unknown"} {
		_, err := b.Sessions.SignOut(t.Context(), &authv1.SignOutRequest{RefreshToken: token})
		authtest.Must(t, err)
	}
	_, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	authtest.WantActions(t, b, p.OrganizationID, "auth.user.created", "auth.session.created", "auth.session.revoked")
}

func TestS73TokensAreStoredHashed(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	tokens, _ := b.SignUp(t, "ada@example.org")
	stored := authtest.AdminText(t, b, `SELECT (SELECT string_agg(t::text, ' ') FROM auth.refresh_tokens t) ||
		(SELECT string_agg(u::text, ' ') FROM auth.users u)`)
	if strings.Contains(stored, tokens.GetRefreshToken()) || strings.Contains(stored, authtest.Password) {
		t.Error("a secret is stored in plain text")
	}
}
