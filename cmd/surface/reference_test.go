package surface_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/id"
)

// S42: a caller cannot refer to a resource of another organization, neither with a session nor with
// a key. The response is as if the resource did not exist, and nothing is created or started.
// S92: an assistant cannot refer to such resources either.
func TestS42ForeignReferencesAreNotFound(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner, otherUser := i.SignUp(t, "owner@example.com"), i.SignUp(t, "other-user@example.com")
	theirs := populate(t, i, owner)
	own := i.Create(t, otherUser, "/v1/conversations", map[string]string{"title": "Mine"})
	messages := "/v1/conversations/" + own + "/messages"
	program, _ := createKey(t, i, otherUser, "chat.read", "chat.write", "knowledge.read", "assistants.read", "assistants.write")
	assistant := i.Create(t, otherUser, "/v1/assistants", map[string]any{"displayName": "Own"})
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
			return map[string]any{"displayName": "Foreign", "collectionIds": []string{id}}
		}},
		{http.MethodPatch, "/v1/assistants/" + assistant, "collection", func(id string) map[string]any { return map[string]any{"collectionIds": []string{id}} }},
	} {
		var answers [][]byte
		for _, resource := range []string{theirs[tc.kind], id.New()} {
			for _, caller := range []inprocess.Session{otherUser, program} {
				resp := i.Request(t, caller, tc.method, tc.path, tc.body(resource))
				raw, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != http.StatusNotFound {
					t.Errorf("%s %s with %s %s: %d %s", tc.method, tc.path, tc.kind, describeResource(resource, theirs[tc.kind]), resp.StatusCode, raw)
				}
				answers = append(answers, bytes.ReplaceAll(varyingFields.ReplaceAll(raw, nil), []byte(resource), []byte("ID")))
			}
		}
		if !bytes.Equal(answers[0], answers[2]) || !bytes.Equal(answers[1], answers[3]) {
			t.Errorf("%s %s reveals that the %s exists:\n%s\nabsent:\n%s", tc.method, tc.path, tc.kind, answers[:2], answers[2:])
		}
	}
	var assistants struct {
		Assistants []struct{ CollectionIDs []string }
	}
	if i.Get(t, otherUser, "/v1/assistants", &assistants); len(assistants.Assistants) != 1 || len(assistants.Assistants[0].CollectionIDs) > 0 {
		t.Errorf("the assistants are %v", assistants.Assistants)
	}
	var list struct{ Messages []struct{ ID string } }
	if i.Get(t, otherUser, messages, &list); len(list.Messages) > 0 {
		t.Errorf("%d messages were stored", len(list.Messages))
	}
	var conversations struct{ Conversations []struct{ ID string } }
	if i.Get(t, otherUser, "/v1/conversations", &conversations); len(conversations.Conversations) != 1 {
		t.Errorf("there are %d conversations", len(conversations.Conversations))
	}
}
