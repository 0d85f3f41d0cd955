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

// refusedFor returns the status and the reason of a refusal.
func refusedFor(t *testing.T, resp *http.Response) (int, string) {
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

func key(t *testing.T, i *inprocess.Installation, s inprocess.Session, scopes ...string) (program inprocess.Session, keyID string) {
	t.Helper()
	var created struct {
		APIKey struct{ ID string }
		Secret string
	}
	inprocess.Decode(t, i.Request(t, s, http.MethodPost, "/v1/me/api-keys", map[string]any{"displayName": "Nightly", "scopes": scopes}), &created)
	return inprocess.Session{UserID: s.UserID, OrganizationID: s.OrganizationID, AccessToken: created.Secret}, created.APIKey.ID
}

// S47, S33: a key does what its scopes say and no more, in every service, and
// ends everywhere when it is deleted.
func TestS47AKeyDoesWhatItsScopesSay(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner := i.SignUp(t, "owner@example.com")
	program, keyID := key(t, i, owner, "assistants.read", "knowledge.read", "knowledge.write")
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
		status, reason := refusedFor(t, i.Request(t, program, tc.method, tc.path, tc.body))
		if status != tc.status || status == 403 && reason != "INSUFFICIENT_SCOPE" {
			t.Errorf("%s %s: %d %s, want %d", tc.method, tc.path, status, reason, tc.status)
		}
	}
	var me struct{ Permissions []string }
	if i.Get(t, program, "/v1/me", &me); !slices.Equal(me.Permissions, []string{"assistants.read", "knowledge.read", "knowledge.write"}) {
		t.Errorf("the key may %q", me.Permissions)
	}
	inprocess.Decode(t, i.Request(t, owner, http.MethodDelete, "/v1/me/api-keys/"+keyID, nil), &struct{}{})
	for _, path := range []string{"/v1/me", "/v1/assistants", "/v1/collections"} {
		until(t, path+" still believes a deleted key", func() bool {
			status, _ := refusedFor(t, i.Request(t, program, http.MethodGet, path, nil))
			return status == http.StatusUnauthorized
		})
	}
}

// A key that got another secret works at once with that one, and soon no longer with
// the one until then.
func TestARotatedKeyWorksEverywhere(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner := i.SignUp(t, "owner@example.com")
	before, keyID := key(t, i, owner, "assistants.read", "knowledge.read")
	paths := []string{"/v1/me", "/v1/assistants", "/v1/collections"}
	reads := func(program inprocess.Session, path string) int {
		status, _ := refusedFor(t, i.Request(t, program, http.MethodGet, path, nil))
		return status
	}
	for _, path := range paths {
		if status := reads(before, path); status != http.StatusOK {
			t.Errorf("%s at first: %d", path, status)
		}
	}
	var rotated struct{ Secret string }
	inprocess.Decode(t, i.Request(t, owner, http.MethodPost, "/v1/me/api-keys/"+keyID+":rotate", map[string]any{}), &rotated)
	after := before
	after.AccessToken = rotated.Secret
	for _, path := range paths {
		until(t, path+" believes the old secret", func() bool { return reads(before, path) == http.StatusUnauthorized })
		if status := reads(after, path); status != http.StatusOK {
			t.Errorf("%s with the new secret: %d", path, status)
		}
	}
}

// A key with every scope reaches no RPC that is the first party's alone: neither
// credentials nor sessions.
func TestS47NoKeyReachesCredentials(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner := i.SignUp(t, "owner@example.com")
	var scopes []string
	for _, p := range catalog.Permissions() {
		if slices.Contains(p.GetRoles(), "owner") {
			scopes = append(scopes, p.GetName())
		}
	}
	program, _ := key(t, i, owner, scopes...)
	barred := 0
	for _, m := range catalog.Methods() {
		if !m.Public || !m.Access.GetFirstParty() {
			continue
		}
		barred++
		for _, method := range m.Routes[:1] {
			message := request(t, m, id.New())
			verb, path, _, body := inREST(t, m, message)
			var content any
			if body != nil {
				content = json.RawMessage(body)
			}
			status, reason := refusedFor(t, i.Request(t, program, verb, path, content))
			// A form that is wrong is told first, which says nothing either.
			if status != http.StatusForbidden && status != http.StatusBadRequest || status == http.StatusForbidden && reason != "INSUFFICIENT_SCOPE" {
				t.Errorf("%s %s: %d %s", method.Verb, path, status, reason)
			}
		}
	}
	if barred < 8 {
		t.Errorf("only %d RPCs are the first party's alone", barred)
	}
}
