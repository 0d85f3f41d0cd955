package run_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/sources"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/fault"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine"
)

// visit is a call on a conversation that also reaches another resource.
type visit struct {
	l *library
	r *replica
	// full has every right, and created the resources of the call; ctx is the
	// caller.
	full, ctx context.Context
}

func (v visit) create(ctx context.Context, c *chatv1.Conversation) (*chatv1.Conversation, error) {
	return v.r.conversations.CreateConversation(ctx, &chatv1.CreateConversationRequest{Conversation: c})
}

func (v visit) update(t *testing.T, c *chatv1.Conversation, path string) error {
	t.Helper()
	made, err := v.create(v.full, &chatv1.Conversation{})
	must(t, err)
	c.Id = made.GetId()
	_, err = v.r.conversations.UpdateConversation(v.ctx, &chatv1.UpdateConversationRequest{
		Conversation: c, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{path}},
	})
	return err
}

// ask sends a message in a new conversation.
func (v visit) ask(t *testing.T, c *chatv1.Conversation, req *chatv1.SendMessageRequest) error {
	t.Helper()
	made, err := v.create(v.full, c)
	must(t, err)
	req.ConversationId, req.Content = made.GetId(), "Hello"
	return v.r.conversations.SendMessage(req, &stream{ctx: v.ctx})
}

// indirect lists every path of the room by which a call reaches a resource that its own
// rule does not name. docs/architecture.md contains the same table.
var indirect = []struct {
	path, right, without string
	field                string // the field that the refusal names; empty when the call is not refused
	call                 func(*testing.T, visit) error
}{
	{"a conversation is made or changed with `assistantId`", "assistants.read", "403", "conversation.assistantId", func(t *testing.T, v visit) error {
		t.Helper()
		if err := v.update(t, &chatv1.Conversation{AssistantId: v.l.assistant.GetId()}, "assistant_id"); err != nil {
			_, second := v.create(v.ctx, &chatv1.Conversation{AssistantId: v.l.assistant.GetId()})
			wantReason(t, second, fault.ReasonOf(err))
			return err
		}
		_, err := v.create(v.ctx, &chatv1.Conversation{AssistantId: v.l.assistant.GetId()})
		return err
	}},
	{"a conversation is made or changed with `collectionIds`", "knowledge.read", "403", "conversation.collectionIds", func(t *testing.T, v visit) error {
		t.Helper()
		if err := v.update(t, &chatv1.Conversation{CollectionIds: v.l.collections}, "collection_ids"); err != nil {
			_, second := v.create(v.ctx, &chatv1.Conversation{CollectionIds: v.l.collections})
			wantReason(t, second, fault.ReasonOf(err))
			return err
		}
		_, err := v.create(v.ctx, &chatv1.Conversation{CollectionIds: v.l.collections})
		return err
	}},
	{"a message is sent with `assistantId`", "assistants.read", "403", "assistantId", func(t *testing.T, v visit) error {
		t.Helper()
		return v.ask(t, &chatv1.Conversation{}, &chatv1.SendMessageRequest{AssistantId: v.l.assistant.GetId()})
	}},
	{"a message is sent with `collectionIds`", "knowledge.read", "403", "collectionIds", func(t *testing.T, v visit) error {
		t.Helper()
		return v.ask(t, &chatv1.Conversation{}, &chatv1.SendMessageRequest{CollectionIds: v.l.collections})
	}},
	{"a message is sent in a conversation that has an assistant", "assistants.read", "403", "assistantId", func(t *testing.T, v visit) error {
		t.Helper()
		return v.ask(t, &chatv1.Conversation{AssistantId: v.l.assistant.GetId()}, &chatv1.SendMessageRequest{})
	}},
	{"an answer is drawn from the conversation's collections", "knowledge.read", "no search tool", "", func(t *testing.T, v visit) error {
		t.Helper()
		return v.ask(t, &chatv1.Conversation{CollectionIds: v.l.collections}, &chatv1.SendMessageRequest{})
	}},
	{"an answer is drawn from the assistant's collections", "knowledge.read", "no search tool", "", func(t *testing.T, v visit) error {
		t.Helper()
		return v.ask(t, &chatv1.Conversation{AssistantId: v.l.assistant.GetId()}, &chatv1.SendMessageRequest{})
	}},
	{"an answer is drawn from every collection, as none is named", "knowledge.read", "no search tool", "", func(t *testing.T, v visit) error {
		t.Helper()
		return v.ask(t, &chatv1.Conversation{}, &chatv1.SendMessageRequest{})
	}},
}

// S84: a conversation gives no caller access to a resource that the caller may not
// read otherwise.
func TestS84ConversationGivesNoOtherRight(t *testing.T) {
	t.Parallel()
	rights := []string{"chat.read", "chat.write", "knowledge.read", "assistants.read"}
	for _, tc := range indirect {
		t.Run(tc.path, func(t *testing.T) {
			t.Parallel()
			l, r := newLibrary(t)
			scope := newScope()
			full := key(t, scope, rights...)
			narrow := slices.DeleteFunc(slices.Clone(rights), func(one string) bool { return one == tc.right })
			for name, caller := range map[string]struct {
				ctx    context.Context
				reason faultv1.Reason
			}{
				"a key with the scope":            {full, 0},
				"a custom role with the right":    {custom(t, scope, rights...), 0},
				"a key without the scope":         {key(t, scope, narrow...), faultv1.Reason_REASON_INSUFFICIENT_SCOPE},
				"a custom role without the right": {custom(t, scope, narrow...), faultv1.Reason_REASON_PERMISSION_DENIED},
			} {
				err := tc.call(t, visit{l: l, r: r, full: full, ctx: caller.ctx})
				if caller.reason == 0 || tc.field == "" {
					must(t, err)
				}
				if tc.field == "" {
					checkSearch(t, name, l.last(), caller.reason == 0)
				}
				if caller.reason != 0 && tc.field != "" {
					checkRefusal(t, name, err, caller.reason, tc.field, tc.right)
				}
			}
		})
	}
}

func checkSearch(t *testing.T, name string, req engine.Request, offered bool) {
	t.Helper()
	if withheld := slices.Contains(req.Withheld, "knowledge_search"); withheld == offered || !offered && len(req.Caller.CollectionIDs) > 0 {
		t.Errorf("%s: the engine received %+v", name, req)
	}
}

func checkRefusal(t *testing.T, name string, err error, reason faultv1.Reason, field, right string) {
	t.Helper()
	wantReason(t, err, reason)
	f := fault.From(err)
	if v := f.Violations(); len(v) != 1 || v[0].Field != field || !strings.Contains(v[0].Message, right) || !strings.Contains(f.Detail(), right) {
		t.Errorf("%s: the fault is %v with %v", name, f, v)
	}
}

// A key that may read conversations reads stored answers completely, with their citations.
// The answers are the user's own, and every reader sees the same bytes.
func TestWatchRun_KeyHasChatReadOnly_SeesTheWholeAnswer(t *testing.T) {
	t.Parallel()
	_, r := newLibrary(t)
	scope := newScope()
	full := key(t, scope, "chat.read", "chat.write", "knowledge.read", "assistants.read")
	c, err := r.conversations.CreateConversation(full, &chatv1.CreateConversationRequest{})
	must(t, err)
	s := &stream{ctx: full}
	must(t, r.conversations.SendMessage(&chatv1.SendMessageRequest{ConversationId: c.GetId(), Content: "Hello"}, s))
	again := &stream{ctx: key(t, scope, "chat.read")}
	must(t, r.service.WatchRun(&chatv1.WatchRunRequest{RunId: s.events[0].GetRunId()}, again))
	if !slices.Equal(raw(t, s.events), raw(t, again.events)) {
		t.Errorf("one reader saw %v, the other %v", s.events, again.events)
	}
}

func TestIndirectPaths_Documentation_ListsThem(t *testing.T) {
	t.Parallel()
	sources.Depend()
	page, err := os.ReadFile("../../../docs/architecture.md")
	must(t, err)
	for _, tc := range indirect {
		row := "| " + tc.path + " | `" + tc.right + "` | " + tc.without + " |\n"
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/architecture.md lacks the row\n%s", row)
		}
	}
}
