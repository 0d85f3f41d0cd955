package auth_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/revocation"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func TestSignUpAndSignIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens, p := b.signUp(t, "Ada@Example.org")
	if tokens.GetTokenType() != "Bearer" || tokens.GetExpiresIn() != 900 || tokens.GetUser().GetEmail() != "Ada@Example.org" ||
		tokens.GetUser().GetDisplayName() != "Ada" {
		t.Errorf("signed up as %v", tokens.GetUser())
	}
	if len(p.Roles) != 1 || p.Roles[0] != "owner" || p.UserID != tokens.GetUser().GetId() {
		t.Errorf("the token speaks for %+v", p)
	}
	again := b.principal(t, b.signIn(t, "aDA@example.ORG"))
	if again.UserID != p.UserID || again.OrganizationID != p.OrganizationID || again.SessionID == p.SessionID {
		t.Errorf("signed in as %+v", again)
	}
	_, err := b.sessions.SignUp(t.Context(), &authv1.SignUpRequest{Email: "ADA@example.org", Password: password})
	wantReason(t, err, faultv1.Reason_REASON_EMAIL_TAKEN)
	_, err = b.sessions.SignUp(t.Context(), &authv1.SignUpRequest{Email: "eve@example.org", Password: "password12345"})
	if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != "password" {
		t.Errorf("a weak password was answered %v", err)
	}
	wantActions(t, b, p.OrganizationID, "auth.user.created", "auth.session.created", "auth.session.created")
}

func TestS9WrongCredentialsAreAnsweredAlike(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, "ada@example.org")
	b.signUp(t, "off@example.org")
	b.database.AdminExec(t, "UPDATE auth.users SET disabled = true WHERE email = 'off@example.org'")
	var details []string
	for _, c := range [][2]string{{"ada@example.org", "wrong horse battery"}, {"nobody@example.org", password}, {"off@example.org", password}} {
		_, err := b.sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: c[0], Password: c[1]})
		wantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
		details = append(details, fault.From(err).Detail())
	}
	if details[0] != details[1] || details[1] != details[2] {
		t.Errorf("the answers differ: %q", details)
	}
}

func TestS20RefreshWorksOnceAndReuseEndsTheSession(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, p := b.signUp(t, "ada@example.org")
	second, err := b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: first.GetRefreshToken()})
	must(t, err)
	if got := b.principal(t, second); got.SessionID != p.SessionID || !got.AuthTime.Equal(p.AuthTime) {
		t.Errorf("refreshed as %+v", got)
	}
	for range 2 {
		_, err = b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: first.GetRefreshToken()})
		wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_REUSED)
	}
	_, err = b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: second.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	_, err = b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: "unknown"})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	wantActions(t, b, p.OrganizationID, "auth.user.created", "auth.session.created", "auth.session.reuse_detected")
}

// S20: what a thief opened from a stolen session ends with it.
func TestS20ReuseEndsWhatTheSessionOpened(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, p := b.signUp(t, "ada@example.org")
	other := b.signIn(t, "ada@example.org")
	made, err := b.organizations.CreateOrganization(with(t.Context(), ada), &authv1.CreateOrganizationRequest{
		Organization: &authv1.Organization{DisplayName: "Library"},
	})
	must(t, err)
	into := func(tokens *authv1.TokenResponse, organizationID string) *authv1.TokenResponse {
		t.Helper()
		switched, err := b.sessions.SwitchOrganization(with(t.Context(), tokens), &authv1.SwitchOrganizationRequest{OrganizationId: organizationID})
		must(t, err)
		return switched
	}
	stolen, err := b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: ada.GetRefreshToken()})
	must(t, err)
	elsewhere := into(stolen, made.GetId())
	back := into(elsewhere, p.OrganizationID)
	since := clock.System().Now()
	_, err = b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: ada.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_REUSED)
	found, err := b.service.Revocations(t.Context(), since)
	must(t, err)
	for what, tokens := range map[string]*authv1.TokenResponse{"the session": stolen, "another organization's": elsewhere, "that one's": back} {
		_, err := b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
		if !fault.Is(err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID) {
			t.Errorf("%s goes on: %v", what, err)
		}
		if id := b.principal(t, tokens).SessionID; !slices.ContainsFunc(found, func(r revocation.Revocation) bool { return r.SessionID == id }) {
			t.Errorf("the access token of %s keeps its force", what)
		}
	}
	wantActions(t, b, made.GetId(), "auth.organization.created", "auth.session.created", "auth.session.reuse_detected")
	_, err = b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: other.GetRefreshToken()})
	must(t, err) // another sign-in
	// What was opened does not end what it was opened from.
	first := b.signIn(t, "ada@example.org")
	second := into(first, made.GetId())
	_, err = b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: second.GetRefreshToken()})
	must(t, err)
	_, err = b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: second.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_REUSED)
	_, err = b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: first.GetRefreshToken()})
	must(t, err)
}

func TestS19RacedRefreshHasOneWinner(t *testing.T) {
	t.Parallel()
	const rounds, racers = 20, 8
	b := setup(t)
	b.signUp(t, "ada@example.org")
	for range rounds {
		token := b.signIn(t, "ada@example.org").GetRefreshToken()
		answers, errs := make([]*authv1.TokenResponse, racers), make([]error, racers)
		var group sync.WaitGroup
		for i := range racers {
			group.Go(func() {
				answers[i], errs[i] = b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: token})
			})
		}
		group.Wait()
		var winner string
		for i, err := range errs {
			switch {
			case err != nil:
				wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_REUSED)
			case winner != "":
				t.Fatal("two racers won")
			default:
				winner = answers[i].GetRefreshToken()
			}
		}
		if winner == "" {
			t.Fatal("no racer won")
		}
		_, err := b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: winner})
		wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	}
}

func TestS21NothingIsRefreshedAfterSignOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens, p := b.signUp(t, "ada@example.org")
	for _, token := range []string{tokens.GetRefreshToken(), tokens.GetRefreshToken(), "unknown"} {
		_, err := b.sessions.SignOut(t.Context(), &authv1.SignOutRequest{RefreshToken: token})
		must(t, err)
	}
	_, err := b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	wantActions(t, b, p.OrganizationID, "auth.user.created", "auth.session.created", "auth.session.revoked")
}

func TestS73SecretsRestHashed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens, _ := b.signUp(t, "ada@example.org")
	stored := adminText(t, b, `SELECT (SELECT string_agg(t::text, ' ') FROM auth.refresh_tokens t) ||
		(SELECT string_agg(u::text, ' ') FROM auth.users u)`)
	if strings.Contains(stored, tokens.GetRefreshToken()) || strings.Contains(stored, password) {
		t.Error("a secret rests in the clear")
	}
}

// wantActions reads an organization's trail as the administrator: no service may.
func wantActions(t *testing.T, b *bundle, organizationID string, want ...string) {
	t.Helper()
	got := adminText(t, b, "SELECT coalesce(string_agg(action, ' ' ORDER BY time, id), '') FROM audit.events WHERE organization_id = $1", organizationID)
	if got != strings.Join(want, " ") {
		t.Errorf("the trail holds %q, want %q", got, want)
	}
}

func adminText(t *testing.T, b *bundle, sql string, args ...any) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.database.AdminURL)
	must(t, err)
	var text string
	must(t, conn.QueryRow(t.Context(), sql, args...).Scan(&text))
	must(t, conn.Close(t.Context()))
	return text
}
