package usersession_test

import (
	"testing"

	"go.opentelemetry.io/otel/sdk/trace"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestSessions_ManyOfOneUser_CostAsFew(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	tokens, p := b.SignUp(t, "ada@example.org")
	b.AddSessions(t, p)
	b.WantLevelPages(t, authtest.ManySessions+1, func(token string) (ids []string, next string) {
		page, err := b.UserSessions.ListUserSessions(authtest.With(t.Context(), tokens), &authv1.ListUserSessionsRequest{PageSize: authtest.PageSize, PageToken: token})
		authtest.Must(t, err)
		for _, s := range page.GetSessions() {
			ids = append(ids, s.GetId())
		}
		return ids, page.GetNextPageToken()
	})
	var again *authv1.TokenResponse
	authtest.WantFew(t, "a sign-in", b.Effort(t, func() { again = b.SignIn(t, "ada@example.org") }))
	authtest.WantFew(t, "a refresh", b.Effort(t, func() { again = b.Refreshed(t, again) }))

	// As many statements as for one session, including those that prepare them.
	ctx, span := trace.NewTracerProvider().Tracer("test").Start(t.Context(), "reset")
	authtest.Must(t, b.Service.ResetFactors(ctx, "ada@example.org"))
	span.End()
	if n := len(b.Statements.Ended()); n == 0 || n > 40 {
		t.Errorf("ending %d sessions took %d statements", authtest.ManySessions, n)
	}
	const ended = "50002 50002 50002"
	if got := authtest.AdminText(t, b, `SELECT concat_ws(' ', (SELECT count(*) FROM auth.sessions WHERE revoked_at IS NOT NULL),
		(SELECT count(DISTINCT session_id) FROM auth.revocations),
		(SELECT count(DISTINCT resource_id) FROM audit.events WHERE action = 'auth.session.revoked' AND organization_id = $1))`,
		p.OrganizationID); got != ended {
		t.Errorf("sessions, revocations and events of the trail are %s, want %s", got, ended)
	}
	// Ended sessions do not slow down the list of active ones.
	b.Analyze(t, "sessions", "refresh_tokens", "revocations")
	again = b.SignIn(t, "ada@example.org")
	authtest.WantFew(t, "the list of one session", b.Effort(t, func() {
		if left := b.ListSessions(t, again); len(left) != 1 {
			t.Errorf("%d sessions are left", len(left))
		}
	}))
}

// A user's sign-ins are compared with the user's own sessions, however many sessions
// clients have opened since.
func TestSessions_ManyOfClients_AddNoCost(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	tokens, p := b.SignUp(t, "ada@example.org")
	b.AddSessions(t, p)
	b.Database.AdminExec(t, "UPDATE auth.sessions SET client_id = gen_random_uuid() WHERE user_agent = 'robot'")
	b.Analyze(t, "sessions")
	authtest.WantFew(t, "a sign-in", b.Effort(t, func() { b.SignIn(t, "ada@example.org") }))
	authtest.WantFew(t, "the list of sessions", b.Effort(t, func() {
		if own := b.ListSessions(t, tokens); len(own) != 2 {
			t.Errorf("%d sessions are the user's own", len(own))
		}
	}))
}
