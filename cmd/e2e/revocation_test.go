package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
)

// revokedWithin is how long the test waits for a revocation to take effect; the
// services ask for news every second.
const revokedWithin = 20 * time.Second

// S22: the end of a session revokes its access tokens in every part, and ends the streams
// that they have opened. The run continues.
func revoked(t *testing.T, i *installation) {
	email, password := newCredentials()
	i.keepSecret(password)
	c := i.newClient(t)
	c.useTokens(c.post("/v1/auth/sign-up", map[string]any{"email": email, "password": password}))
	other := i.newClient(t)
	other.signIn(email, password)
	const question = "What takes a minute to say?"
	i.model.script(question, modelstub.Reply{Text: words(1200), TokenDelay: 50 * time.Millisecond})
	s := c.ask(c.conversation(), question, stubModel)
	begun := s.readDeltas(2)
	if answer := c.post("/v1/auth/sign-out", map[string]any{"refreshToken": c.RefreshToken}); answer.status != http.StatusOK {
		t.Fatalf("signing out: %d %s", answer.status, answer.body)
	}
	for part, path := range map[string]string{"auth": "/v1/me", "management": "/v1/assistants", "chat": "/v1/conversations"} {
		eventually(t, part+" refuses the token", revokedWithin, func() bool { return c.get(path).status == http.StatusUnauthorized })
	}
	frames := append(begun, s.readAll()...)
	if terminal(frames[len(frames)-1]) {
		t.Error("the stream was not ended")
	}
	if answer := other.get("/v1/me"); answer.status != http.StatusOK {
		t.Errorf("another session of the user: %d %s", answer.status, answer.body)
	}
	runID := begun[0].event.GetRunId()
	rest := other.follow(runID, 0)
	if got := rawText(rest.readDeltas(2)); got != rawText(begun) {
		t.Errorf("the other session sees %s, want %s", got, rawText(begun))
	}
	if answer := other.post("/v1/runs/"+runID+":cancel", map[string]any{}); answer.status != http.StatusOK {
		t.Errorf("the run did not go on: %d %s", answer.status, answer.body)
	}
}

// S22: a user whom the administrator disables loses its stream and its next
// request in every part.
func disabled(t *testing.T, i *installation) {
	email, password := newCredentials()
	i.keepSecret(password)
	c := i.newClient(t)
	c.useTokens(c.post("/v1/auth/sign-up", map[string]any{"email": email, "password": password}))
	const question = "What takes another minute to say?"
	i.model.script(question, modelstub.Reply{Text: words(1200), TokenDelay: 50 * time.Millisecond})
	s := c.ask(c.conversation(), question, stubModel)
	begun := s.readDeltas(2)
	told := time.Now()
	i.command(t, "gatehouse", "user", "disable", "--email", email)
	frames := append(begun, s.readAll()...)
	if terminal(frames[len(frames)-1]) {
		t.Error("the stream was not ended")
	}
	t.Logf("the stream ended %s after the command to disable its user began", time.Since(told))
	for _, path := range []string{"/v1/me", "/v1/assistants", "/v1/conversations"} {
		eventually(t, path+" refuses the token", revokedWithin, func() bool { return c.get(path).status == http.StatusUnauthorized })
	}
	t.Logf("every service refused the token within %s of it", time.Since(told))
	if answer := c.post("/v1/auth/sign-in", map[string]any{"email": email, "password": password}); answer.status != http.StatusUnauthorized {
		t.Errorf("signing in: %d %s", answer.status, answer.body)
	}
}

// S22: who loses a role loses it in every part, and keeps the rest with the
// next token.
func demoted(t *testing.T, i *installation) {
	owner, member := i.newUser(t), i.newUser(t)
	var me struct{ ID, OrganizationID string }
	owner.get("/v1/me").decode(&me)
	organization := me.OrganizationID
	member.get("/v1/me").decode(&me)
	i.admin(t).post("/v1/organizations/"+organization+"/members", map[string]any{"userId": me.ID, "roles": []string{"member"}}).field("userId")
	member.useTokens(member.post("/v1/auth/switch-organization", map[string]any{"organizationId": organization}))
	member.post("/v1/assistants", map[string]any{"displayName": "Mine"}).field("id")
	r := owner.postRequest("/v1/organizations/"+organization+"/members/"+me.ID, map[string]any{"roles": []string{"viewer"}})
	r.method = http.MethodPatch
	owner.do(r).field("userId")
	eventually(t, "management refuses the old token", revokedWithin, func() bool {
		return member.get("/v1/assistants").status == http.StatusUnauthorized
	})
	member.useTokens(member.post("/v1/auth/refresh", map[string]any{"refreshToken": member.RefreshToken}))
	if answer := member.get("/v1/assistants"); answer.status != http.StatusOK {
		t.Errorf("a viewer reads: %d %s", answer.status, answer.body)
	}
	if answer := member.post("/v1/assistants", map[string]any{"displayName": "Mine too"}); answer.status != http.StatusForbidden {
		t.Errorf("a viewer writes: %d %s", answer.status, answer.body)
	}
}
