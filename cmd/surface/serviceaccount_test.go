package surface_test

import (
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// S22, S47: every service allows the key of a service account what both its scopes and the roles of
// the account permit. The audit trail names the account as the actor. Every service refuses the
// key after the account is disabled.
func TestS47ServiceAccountActsForItsOrganization(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner := i.SignUp(t, "owner@example.com")
	accounts := "/v1/organizations/" + owner.OrganizationID + "/service-accounts"
	account := i.Create(t, owner, accounts, map[string]any{"displayName": "Importer", "roles": []string{"member"}})
	var created struct{ Secret string }
	inprocess.Decode(t, i.Request(t, owner, http.MethodPost, accounts+"/"+account+"/api-keys", map[string]any{
		"displayName": "Nightly", "scopes": []string{"assistants.read", "assistants.write", "knowledge.read", "chat.read", "chat.write"},
	}), &created)
	program := inprocess.Session{UserID: account, OrganizationID: owner.OrganizationID, AccessToken: created.Secret}
	assistant := i.Create(t, program, "/v1/assistants", map[string]string{"displayName": "Helper"})
	i.Create(t, program, "/v1/conversations", map[string]string{"title": "Its own"})
	for _, tc := range []struct {
		method, path string
		body         any
		status       int
	}{
		{http.MethodGet, "/v1/me", nil, 200},
		{http.MethodGet, "/v1/collections", nil, 200},
		{http.MethodPost, "/v1/collections", map[string]string{"displayName": "x"}, 403},
		{http.MethodGet, "/v1/me/api-keys", nil, 403},
		{http.MethodPost, "/v1/me/api-keys", map[string]any{"displayName": "x", "scopes": []string{"chat.read"}}, 403},
		{http.MethodGet, accounts, nil, 403},
		{http.MethodPost, accounts + "/" + account + "/api-keys", map[string]any{"displayName": "x", "scopes": []string{"chat.read"}}, 403},
		{http.MethodPost, "/v1/me/password", map[string]string{"currentPassword": "x", "newPassword": "a very long secret"}, 403},
	} {
		if status, reason := statusAndReason(t, i.Request(t, program, tc.method, tc.path, tc.body)); status != tc.status || status == 403 && reason != "INSUFFICIENT_SCOPE" {
			t.Errorf("%s %s: %d %s, want %d", tc.method, tc.path, status, reason, tc.status)
		}
	}
	actor := query(t, i.Database, pgx.RowTo[string], "SELECT actor_type || ' ' || actor_id FROM audit.events WHERE resource_id = $1", assistant)
	if len(actor) != 1 || actor[0] != "service_account "+account {
		t.Errorf("in the audit trail, %q created the assistant", actor)
	}
	inprocess.Decode(t, i.Request(t, owner, http.MethodPatch, accounts+"/"+account, map[string]any{"disabled": true}), &struct{}{})
	for _, path := range []string{"/v1/me", "/v1/assistants", "/v1/collections", "/v1/conversations"} {
		waitUntil(t, path+" still accepts the key of a disabled account", func() bool {
			status, _ := statusAndReason(t, i.Request(t, program, http.MethodGet, path, nil))
			return status == http.StatusUnauthorized
		})
	}
}
