package authtest

import (
	"strings"
	"testing"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// WantActions fails the test unless an organization's audit trail has exactly these actions. It
// reads the trail as the administrator, because no service may.
func WantActions(t *testing.T, b *Bundle, organizationID string, want ...string) {
	t.Helper()
	got := AdminText(t, b, "SELECT coalesce(string_agg(action, ' ' ORDER BY time, id), '') FROM audit.events WHERE organization_id = $1", organizationID)
	if got != strings.Join(want, " ") {
		t.Errorf("the trail holds %q, want %q", got, want)
	}
}

// AdminText runs a query as the administrator, and returns its one value as text.
func AdminText(t *testing.T, b *Bundle, sql string, args ...any) string {
	t.Helper()
	return b.Database.AdminQuery(t, sql, args...)[0][0]
}

// ListSessions returns all sessions of a user, read in small pages.
func (b *Bundle) ListSessions(t *testing.T, tokens *authv1.TokenResponse) []*authv1.UserSession {
	t.Helper()
	var out []*authv1.UserSession
	req := &authv1.ListUserSessionsRequest{PageSize: 2}
	for {
		page, err := b.UserSessions.ListUserSessions(With(t.Context(), tokens), req)
		Must(t, err)
		out = append(out, page.GetSessions()...)
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			return out
		}
	}
}
