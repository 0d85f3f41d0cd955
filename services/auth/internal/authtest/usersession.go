package authtest

import (
	"testing"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

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
