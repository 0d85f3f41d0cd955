package usersession_test

import (
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/id"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestSessions_UserListsAndEndsThem(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	own, principal := b.SignUp(t, "ada@example.org")
	second, third := b.SignIn(t, "ada@example.org"), b.SignIn(t, "ada@example.org")
	_, _ = b.SignUp(t, "bob@example.org")
	sessions := b.ListSessions(t, own)
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
	_, err := b.UserSessions.DeleteUserSession(authtest.With(t.Context(), own), &authv1.DeleteUserSessionRequest{Id: sessions[1].GetId()})
	authtest.Must(t, err)
	_, err = b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: second.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	_, err = b.UserSessions.DeleteUserSession(authtest.With(t.Context(), own), &authv1.DeleteUserSessionRequest{Id: sessions[1].GetId()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)

	ended, err := b.UserSessions.EndUserSessions(authtest.With(t.Context(), own), &authv1.EndUserSessionsRequest{KeepCurrent: true})
	authtest.Must(t, err)
	if left := b.ListSessions(t, own); ended.GetEnded() != 1 || len(left) != 1 || !left[0].GetCurrent() {
		t.Errorf("ended %d, left %v", ended.GetEnded(), left)
	}
	_, err = b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: third.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	ended, err = b.UserSessions.EndUserSessions(authtest.With(t.Context(), own), &authv1.EndUserSessionsRequest{})
	authtest.Must(t, err)
	if ended.GetEnded() != 1 {
		t.Errorf("ended %d", ended.GetEnded())
	}
}

// S24: another user's session is not found, and stays active.
func TestS24OtherUsersSessionIsNotFound(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, _ := b.SignUp(t, "ada@example.org")
	bob, principal := b.SignUp(t, "bob@example.org")
	for _, sessionID := range []string{principal.SessionID, id.New()} {
		_, err := b.UserSessions.DeleteUserSession(authtest.With(t.Context(), ada), &authv1.DeleteUserSessionRequest{Id: sessionID})
		authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	}
	_, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: bob.GetRefreshToken()})
	authtest.Must(t, err)
}

// Sessions in other organizations are listed too. Ending one is recorded in the audit
// trail of the organization in which it acted.
func TestListUserSessions_ReturnsAllOrganizations(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	_, bobs := b.SignUp(t, "bob@example.org")
	_, err := b.Organizations.AddMember(authtest.With(t.Context(), b.Operator(t)), &authv1.AddMemberRequest{
		OrganizationId: bobs.OrganizationID, UserId: adas.UserID, Roles: []string{"member"},
	})
	authtest.Must(t, err)
	_, err = b.Sessions.SwitchOrganization(authtest.With(t.Context(), ada), &authv1.SwitchOrganizationRequest{OrganizationId: bobs.OrganizationID})
	authtest.Must(t, err)
	sessions := b.ListSessions(t, ada)
	if len(sessions) != 2 || sessions[1].GetOrganizationId() != bobs.OrganizationID {
		t.Fatalf("sessions %v", sessions)
	}
	_, err = b.UserSessions.DeleteUserSession(authtest.With(t.Context(), ada), &authv1.DeleteUserSessionRequest{Id: sessions[1].GetId()})
	authtest.Must(t, err)
	if got := authtest.AdminText(t, b, "SELECT action FROM audit.events WHERE organization_id = $1 AND resource_id = $2 ORDER BY time DESC LIMIT 1",
		bobs.OrganizationID, sessions[1].GetId()); got != "auth.session.revoked" {
		t.Errorf("the audit trail has %q", got)
	}
}
