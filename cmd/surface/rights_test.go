package surface_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// S84: an API key with the scopes of chat alone cannot read a document by the answer of a model,
// and cannot use an assistant.
func TestS84KeyWithoutKnowledgeScopeReceivesNoDocuments(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner := i.SignUp(t, "owner@example.com")
	has := populate(t, i, owner)
	narrow, _ := createKey(t, i, owner, "chat.read", "chat.write")
	wide, _ := createKey(t, i, owner, "chat.read", "chat.write", "knowledge.read", "assistants.read")
	stored := i.Create(t, owner, "/v1/conversations", map[string]any{"collectionIds": []string{has["collection"]}})
	assisted := i.Create(t, owner, "/v1/conversations", map[string]any{"assistantId": has["assistant"]})
	ask := func(caller inprocess.Session, conversationID string, body map[string]any) (int, string) {
		t.Helper()
		body["content"] = "How long does the warranty last?"
		resp := i.Request(t, caller, http.MethodPost, "/v1/conversations/"+conversationID+"/messages:stream", body)
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(raw)
	}
	for _, tc := range []struct {
		name, conversationID string
		body                 map[string]any
		refusal              string // the scope that the refusal names
	}{
		{"with no collections", i.Create(t, owner, "/v1/conversations", map[string]any{}), map[string]any{}, ""},
		{"with stored collections", stored, map[string]any{}, ""},
		{"with named collections", stored, map[string]any{"collectionIds": []string{has["collection"]}}, "knowledge.read"},
		{"with a stored assistant", assisted, map[string]any{}, "assistants.read"},
		{"with a named assistant", stored, map[string]any{"assistantId": has["assistant"]}, "assistants.read"},
	} {
		status, answer := ask(narrow, tc.conversationID, tc.body)
		refused := status == http.StatusForbidden && strings.Contains(answer, "INSUFFICIENT_SCOPE") && strings.Contains(answer, tc.refusal)
		if tc.refusal == "" && status != http.StatusOK || tc.refusal != "" && !refused {
			t.Errorf("%s: %d %s", tc.name, status, answer)
		}
		if strings.Contains(answer, "three years") || strings.Contains(answer, "event: citation") || strings.Contains(answer, "knowledge_search") {
			t.Errorf("%s, a key without knowledge.read received\n%s", tc.name, answer)
		}
		if status, answer := ask(wide, tc.conversationID, tc.body); status != http.StatusOK || !strings.Contains(answer, "event: citation") {
			t.Errorf("%s, with every scope: %d %s", tc.name, status, answer)
		}
	}
}
