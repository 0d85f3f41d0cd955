package surface_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/id"
)

// S42: another organization's resources cannot be named from within one's own
// either, by a key no more than by its owner, and are again as if absent; nothing is
// made or started. S92: an assistant names them no more than a conversation does.
func TestS42ForeignReferencesAreAsIfAbsent(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner, stranger := i.SignUp(t, "owner@example.com"), i.SignUp(t, "stranger@example.com")
	theirs := populate(t, i, owner)
	own := i.Create(t, stranger, "/v1/conversations", map[string]string{"title": "Mine"})
	messages := "/v1/conversations/" + own + "/messages"
	program, _ := key(t, i, stranger, "chat.read", "chat.write", "knowledge.read", "assistants.read", "assistants.write")
	assistant := i.Create(t, stranger, "/v1/assistants", map[string]any{"displayName": "Modest"})
	for _, tc := range []struct {
		method, path string
		kind         string
		body         func(id string) map[string]any
	}{
		{http.MethodPost, "/v1/conversations", "assistant", func(id string) map[string]any { return map[string]any{"assistantId": id} }},
		{http.MethodPost, "/v1/conversations", "collection", func(id string) map[string]any { return map[string]any{"collectionIds": []string{id}} }},
		{http.MethodPatch, "/v1/conversations/" + own, "assistant", func(id string) map[string]any { return map[string]any{"assistantId": id} }},
		{http.MethodPatch, "/v1/conversations/" + own, "collection", func(id string) map[string]any { return map[string]any{"collectionIds": []string{id}} }},
		{http.MethodPost, messages, "assistant", func(id string) map[string]any { return map[string]any{"content": "?", "assistantId": id} }},
		{http.MethodPost, messages, "collection", func(id string) map[string]any { return map[string]any{"content": "?", "collectionIds": []string{id}} }},
		{http.MethodPost, messages + ":stream", "collection", func(id string) map[string]any { return map[string]any{"content": "?", "collectionIds": []string{id}} }},
		{http.MethodPost, "/v1/assistants", "collection", func(id string) map[string]any {
			return map[string]any{"displayName": "Greedy", "collectionIds": []string{id}}
		}},
		{http.MethodPatch, "/v1/assistants/" + assistant, "collection", func(id string) map[string]any { return map[string]any{"collectionIds": []string{id}} }},
	} {
		var answers [][]byte
		for _, resource := range []string{theirs[tc.kind], id.New()} {
			for _, caller := range []inprocess.Session{stranger, program} {
				resp := i.Request(t, caller, tc.method, tc.path, tc.body(resource))
				raw, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != http.StatusNotFound {
					t.Errorf("%s %s with %s %s: %d %s", tc.method, tc.path, tc.kind, name(resource, theirs[tc.kind]), resp.StatusCode, raw)
				}
				answers = append(answers, bytes.ReplaceAll(marks.ReplaceAll(raw, nil), []byte(resource), []byte("ID")))
			}
		}
		if !bytes.Equal(answers[0], answers[2]) || !bytes.Equal(answers[1], answers[3]) {
			t.Errorf("%s %s tells that the %s exists:\n%s\nabsent:\n%s", tc.method, tc.path, tc.kind, answers[:2], answers[2:])
		}
	}
	var assistants struct {
		Assistants []struct{ CollectionIDs []string }
	}
	if i.Get(t, stranger, "/v1/assistants", &assistants); len(assistants.Assistants) != 1 || len(assistants.Assistants[0].CollectionIDs) > 0 {
		t.Errorf("there are the assistants %v", assistants.Assistants)
	}
	var list struct{ Messages []struct{ ID string } }
	if i.Get(t, stranger, messages, &list); len(list.Messages) > 0 {
		t.Errorf("%d messages were stored", len(list.Messages))
	}
	var conversations struct{ Conversations []struct{ ID string } }
	if i.Get(t, stranger, "/v1/conversations", &conversations); len(conversations.Conversations) != 1 {
		t.Errorf("there are %d conversations", len(conversations.Conversations))
	}
}
