package surface_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/proto/catalog"
)

// statusAndReason returns the status of a response, and the reason of its fault, if it has one.
func statusAndReason(t *testing.T, resp *http.Response) (int, string) {
	t.Helper()
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var problem struct{ Reason string }
	_ = json.Unmarshal(raw, &problem) // a success has none
	return resp.StatusCode, problem.Reason
}

// createKey creates an API key with scopes. It returns a session that uses the key, and the id of the key.
func createKey(t *testing.T, i *inprocess.Installation, s inprocess.Session, scopes ...string) (program inprocess.Session, keyID string) {
	t.Helper()
	var created struct {
		APIKey struct{ ID string }
		Secret string
	}
	inprocess.Decode(t, i.Request(t, s, http.MethodPost, "/v1/me/api-keys", map[string]any{"displayName": "Nightly", "scopes": scopes}), &created)
	return inprocess.Session{UserID: s.UserID, OrganizationID: s.OrganizationID, AccessToken: created.Secret}, created.APIKey.ID
}

// S47, S33: every service allows a key what its scopes permit and no more, and refuses the key
// after it is deleted.
func TestS47APIKeyIsLimitedToItsScopes(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner := i.SignUp(t, "owner@example.com")
	program, keyID := createKey(t, i, owner, "assistants.read", "knowledge.read", "knowledge.write")
	for _, tc := range []struct {
		method, path string
		body         any
		status       int
	}{
		{http.MethodGet, "/v1/me", nil, 200},
		{http.MethodGet, "/v1/assistants", nil, 200},
		{http.MethodPost, "/v1/assistants", map[string]string{"displayName": "x"}, 403},
		{http.MethodPost, "/v1/collections", map[string]string{"displayName": "x"}, 200},
		{http.MethodGet, "/v1/conversations", nil, 403},
		{http.MethodGet, "/v1/organizations/" + owner.OrganizationID + "/members", nil, 403},
	} {
		status, reason := statusAndReason(t, i.Request(t, program, tc.method, tc.path, tc.body))
		if status != tc.status || status == 403 && reason != "INSUFFICIENT_SCOPE" {
			t.Errorf("%s %s: %d %s, want %d", tc.method, tc.path, status, reason, tc.status)
		}
	}
	var me struct{ Permissions []string }
	if i.Get(t, program, "/v1/me", &me); !slices.Equal(me.Permissions, []string{"assistants.read", "knowledge.read", "knowledge.write"}) {
		t.Errorf("the permissions of the key are %q", me.Permissions)
	}
	inprocess.Decode(t, i.Request(t, owner, http.MethodDelete, "/v1/me/api-keys/"+keyID, nil), &struct{}{})
	for _, path := range []string{"/v1/me", "/v1/assistants", "/v1/collections"} {
		waitUntil(t, path+" still accepts a deleted key", func() bool {
			status, _ := statusAndReason(t, i.Request(t, program, http.MethodGet, path, nil))
			return status == http.StatusUnauthorized
		})
	}
}

// A rotated key works at once with its new secret, and soon no longer with the old one.
func TestAPIKey_Rotated_WorksInEveryServiceWithTheNewSecret(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner := i.SignUp(t, "owner@example.com")
	before, keyID := createKey(t, i, owner, "assistants.read", "knowledge.read")
	paths := []string{"/v1/me", "/v1/assistants", "/v1/collections"}
	reads := func(program inprocess.Session, path string) int {
		status, _ := statusAndReason(t, i.Request(t, program, http.MethodGet, path, nil))
		return status
	}
	for _, path := range paths {
		if status := reads(before, path); status != http.StatusOK {
			t.Errorf("%s before the rotation: %d", path, status)
		}
	}
	var rotated struct{ Secret string }
	inprocess.Decode(t, i.Request(t, owner, http.MethodPost, "/v1/me/api-keys/"+keyID+":rotate", map[string]any{}), &rotated)
	after := before
	after.AccessToken = rotated.Secret
	for _, path := range paths {
		waitUntil(t, path+" still accepts the old secret", func() bool { return reads(before, path) == http.StatusUnauthorized })
		if status := reads(after, path); status != http.StatusOK {
			t.Errorf("%s with the new secret: %d", path, status)
		}
	}
}

// A key with every scope is refused by each RPC that only the first party may call, such as
// the RPCs for credentials and sessions.
func TestS47APIKeyIsRefusedByFirstPartyRPCs(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner := i.SignUp(t, "owner@example.com")
	var scopes []string
	for _, p := range catalog.Permissions() {
		if slices.Contains(p.GetRoles(), "owner") {
			scopes = append(scopes, p.GetName())
		}
	}
	program, _ := createKey(t, i, owner, scopes...)
	firstParty := 0
	for _, m := range catalog.Methods() {
		if !m.Public || !m.Access.GetFirstParty() {
			continue
		}
		firstParty++
		for _, method := range m.Routes[:1] {
			message := request(t, m, id.New())
			verb, path, _, body := restRequest(t, m, message)
			var content any
			if body != nil {
				content = json.RawMessage(body)
			}
			status, reason := statusAndReason(t, i.Request(t, program, verb, path, content))
			// An invalid request is refused before the scope is checked. That reveals nothing either.
			if status != http.StatusForbidden && status != http.StatusBadRequest || status == http.StatusForbidden && reason != "INSUFFICIENT_SCOPE" {
				t.Errorf("%s %s: %d %s", method.Verb, path, status, reason)
			}
		}
	}
	if firstParty < 8 {
		t.Errorf("only %d RPCs are for the first party alone", firstParty)
	}
}
