package auth_test

import (
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/id"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func (b *bundle) listSessions(t *testing.T, tokens *authv1.TokenResponse) []*authv1.UserSession {
	t.Helper()
	var out []*authv1.UserSession
	req := &authv1.ListUserSessionsRequest{PageSize: 2}
	for {
		page, err := b.userSessions.ListUserSessions(with(t.Context(), tokens), req)
		must(t, err)
		out = append(out, page.GetSessions()...)
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			return out
		}
	}
}

func TestAUserSeesAndEndsItsSessions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	own, principal := b.signUp(t, "ada@example.org")
	second, third := b.signIn(t, "ada@example.org"), b.signIn(t, "ada@example.org")
	_, _ = b.signUp(t, "bob@example.org")
	sessions := b.listSessions(t, own)
	if len(sessions) != 3 {
		t.Fatalf("%d sessions", len(sessions))
	}
	for n, s := range sessions {
		if s.GetCurrent() != (s.GetId() == principal.SessionID) || s.GetCurrent() != (n == 0) || s.GetOrganizationId() != principal.OrganizationID {
			t.Errorf("session %d is %v", n, s)
		}
		if !s.GetExpireTime().AsTime().After(s.GetCreateTime().AsTime().Add(time.Hour)) || s.GetLastUsedTime().AsTime().Before(s.GetCreateTime().AsTime()) {
			t.Errorf("session %d has the times of %v", n, s)
		}
	}
	_, err := b.userSessions.DeleteUserSession(with(t.Context(), own), &authv1.DeleteUserSessionRequest{Id: sessions[1].GetId()})
	must(t, err)
	_, err = b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: second.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	_, err = b.userSessions.DeleteUserSession(with(t.Context(), own), &authv1.DeleteUserSessionRequest{Id: sessions[1].GetId()})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)

	ended, err := b.userSessions.EndUserSessions(with(t.Context(), own), &authv1.EndUserSessionsRequest{KeepCurrent: true})
	must(t, err)
	if left := b.listSessions(t, own); ended.GetEnded() != 1 || len(left) != 1 || !left[0].GetCurrent() {
		t.Errorf("ended %d, left %v", ended.GetEnded(), left)
	}
	_, err = b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: third.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	ended, err = b.userSessions.EndUserSessions(with(t.Context(), own), &authv1.EndUserSessionsRequest{})
	must(t, err)
	if ended.GetEnded() != 1 {
		t.Errorf("ended %d", ended.GetEnded())
	}
}

// S24: somebody else's session is not found, and goes on.
func TestS24SomebodyElsesSessionIsNotFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, _ := b.signUp(t, "ada@example.org")
	bob, principal := b.signUp(t, "bob@example.org")
	for _, sessionID := range []string{principal.SessionID, id.New()} {
		_, err := b.userSessions.DeleteUserSession(with(t.Context(), ada), &authv1.DeleteUserSessionRequest{Id: sessionID})
		wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	}
	_, err := b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: bob.GetRefreshToken()})
	must(t, err)
}

// Sessions in another organization are the user's too, and what ends one is
// written in the trail of the organization that it acted in.
func TestSessionsOfAllOrganizationsAreShown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, adas := b.signUp(t, "ada@example.org")
	_, bobs := b.signUp(t, "bob@example.org")
	_, err := b.organizations.AddMember(with(t.Context(), b.operator(t)), &authv1.AddMemberRequest{
		OrganizationId: bobs.OrganizationID, UserId: adas.UserID, Roles: []string{"member"},
	})
	must(t, err)
	_, err = b.sessions.SwitchOrganization(with(t.Context(), ada), &authv1.SwitchOrganizationRequest{OrganizationId: bobs.OrganizationID})
	must(t, err)
	sessions := b.listSessions(t, ada)
	if len(sessions) != 2 || sessions[1].GetOrganizationId() != bobs.OrganizationID {
		t.Fatalf("sessions %v", sessions)
	}
	_, err = b.userSessions.DeleteUserSession(with(t.Context(), ada), &authv1.DeleteUserSessionRequest{Id: sessions[1].GetId()})
	must(t, err)
	if got := adminText(t, b, "SELECT action FROM audit.events WHERE organization_id = $1 AND resource_id = $2 ORDER BY time DESC LIMIT 1",
		bobs.OrganizationID, sessions[1].GetId()); got != "auth.session.revoked" {
		t.Errorf("the trail says %q", got)
	}
}
