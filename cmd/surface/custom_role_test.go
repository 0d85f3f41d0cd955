package surface_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// S22, S47: every service allows a member with a custom role, and an API key of that member, what
// the role permits and no more. A change of the role takes effect in every service within
// seconds, and the next token has the new permissions.
func TestS22CustomRolesTakeEffectInEveryService(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner, operator := i.SignUp(t, "owner@example.com"), i.SignIn(t)
	organization := "/v1/organizations/" + owner.OrganizationID
	role := i.Create(t, owner, organization+"/roles", map[string]any{
		"displayName": "Clerk", "permissions": []string{"assistants.read", "knowledge.read", "chat.read", "members.read"},
	})
	clerk := i.SignUp(t, "clerk@example.com")
	inprocess.Decode(t, i.Request(t, operator, http.MethodPost, organization+"/members",
		map[string]any{"userId": clerk.UserID, "roles": []string{role}}), &struct{}{})
	home := clerk
	clerk = i.Switch(t, clerk, owner.OrganizationID)
	program, _ := createKey(t, i, clerk, "assistants.read", "knowledge.read", "chat.read")
	reads := []string{"/v1/assistants", "/v1/collections", "/v1/conversations"}
	for _, path := range reads {
		for who, caller := range map[string]inprocess.Session{"the clerk": clerk, "its key": program} {
			if status, reason := statusAndReason(t, i.Request(t, caller, http.MethodGet, path, nil)); status != http.StatusOK {
				t.Errorf("%s reads %s: %d %s", who, path, status, reason)
			}
			if path == "/v1/conversations" {
				continue
			}
			status, _ := statusAndReason(t, i.Request(t, caller, http.MethodPost, path, map[string]string{"displayName": "x"}))
			if status != http.StatusForbidden {
				t.Errorf("%s writes %s: %d", who, path, status)
			}
		}
	}
	inprocess.Decode(t, i.Request(t, owner, http.MethodPatch, organization+"/roles/"+role,
		map[string]any{"permissions": []string{"members.read"}}), &struct{}{})
	for _, path := range reads {
		waitUntil(t, path+" still accepts the old token", func() bool {
			status, _ := statusAndReason(t, i.Request(t, clerk, http.MethodGet, path, nil))
			return status == http.StatusUnauthorized
		})
		waitUntil(t, path+" still accepts the former rights of the key", func() bool {
			status, _ := statusAndReason(t, i.Request(t, program, http.MethodGet, path, nil))
			return status == http.StatusForbidden
		})
	}
	clerk = i.Switch(t, home, owner.OrganizationID)
	for _, path := range reads {
		if status, _ := statusAndReason(t, i.Request(t, clerk, http.MethodGet, path, nil)); status != http.StatusForbidden {
			t.Errorf("the clerk's new token reads %s: %d", path, status)
		}
	}
	if status, reason := statusAndReason(t, i.Request(t, clerk, http.MethodGet, organization+"/members", nil)); status != http.StatusOK {
		t.Errorf("the clerk's new token reads the members: %d %s", status, reason)
	}
}

// waitUntil waits until done returns true. After 30 seconds it fails with the message wrong.
func waitUntil(t *testing.T, wrong string, done func() bool) {
	t.Helper()
	ticker, deadline := time.NewTicker(50*time.Millisecond), time.After(30*time.Second)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal(wrong)
		}
	}
}
