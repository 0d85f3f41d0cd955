package run_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

// Resources that a conversation or its assistant names may be deleted later. The
// conversation continues without them, and its runs list them as missing.
func TestSendMessage_StoredReferenceIsDeleted_RunSkipsIt(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name             string
		collections      bool // the conversation names collections
		assistant        bool
		lose             func(*library)
		missing          func(l *library, before []string) (collections []string, assistant string)
		searches         int
		without          bool // the run gets no search tool
		withInstructions bool
	}{
		{name: "nothing is deleted", collections: true, assistant: true, lose: func(*library) {}, searches: 2, withInstructions: true},
		{name: "a collection of the conversation", collections: true, lose: func(l *library) { l.collections = l.collections[:1] },
			missing: func(_ *library, before []string) ([]string, string) { return before[1:], "" }, searches: 1},
		{name: "a collection of the assistant", collections: true, assistant: true, lose: func(l *library) { l.collections = l.collections[1:] },
			missing: func(_ *library, before []string) ([]string, string) { return before[:1], "" }, searches: 1, withInstructions: true},
		{name: "every collection, so that nothing is searched", assistant: true, lose: func(l *library) { l.collections = nil },
			missing: func(_ *library, before []string) ([]string, string) { return before[:1], "" }, without: true, withInstructions: true},
		{name: "the assistant", assistant: true, lose: func(l *library) { l.assistant = &managementv1.Assistant{} },
			missing: func(l *library, _ []string) ([]string, string) { return nil, "the assistant's" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l, r := newLibrary(t)
			ctx, before, made := key(t, newScope(), "chat.read", "chat.write", "knowledge.read", "assistants.read"), slices.Clone(l.collections), &chatv1.Conversation{}
			if tc.collections {
				made.CollectionIds = before
			}
			if tc.assistant {
				made.AssistantId = l.assistant.GetId()
			}
			c, err := r.conversations.CreateConversation(ctx, &chatv1.CreateConversationRequest{Conversation: made})
			must(t, err)
			tc.lose(l)
			s := &stream{ctx: ctx}
			must(t, r.conversations.SendMessage(&chatv1.SendMessageRequest{ConversationId: c.GetId(), Content: "Hello"}, s))
			if end := checkLog(t, s.events); end.GetRunCompleted() == nil {
				t.Fatalf("ended with %v", end)
			}
			var collections []string
			var assistant string
			if tc.missing != nil {
				collections, assistant = tc.missing(l, before)
			}
			if assistant != "" {
				assistant = made.GetAssistantId()
			}
			stored, err := r.service.GetRun(ctx, &chatv1.GetRunRequest{Id: s.events[0].GetRunId()})
			must(t, err)
			for _, one := range []*chatv1.Run{s.events[0].GetRunStarted().GetRun(), stored} {
				if !slices.Equal(one.GetMissingCollectionIds(), collections) || one.GetMissingAssistantId() != assistant {
					t.Errorf("the run misses %v, want %v and %q", one, collections, assistant)
				}
			}
			asked := l.last()
			if len(asked.Caller.CollectionIDs) != tc.searches || (len(asked.Withheld) > 0) != tc.without || (asked.Assistant.Instructions != "") != tc.withInstructions {
				t.Errorf("the engine received %+v", asked)
			}
		})
	}
}

func TestStartMessage_NamedResourceIsAbsent_IsRefused(t *testing.T) {
	t.Parallel()
	l, r := newLibrary(t)
	ctx := key(t, newScope(), "chat.read", "chat.write", "knowledge.read", "assistants.read")
	c, err := r.conversations.CreateConversation(ctx, &chatv1.CreateConversationRequest{})
	must(t, err)
	for field, req := range map[string]*chatv1.SendMessageRequest{
		"collectionIds": {ConversationId: c.GetId(), Content: "Hello", CollectionIds: []string{l.collections[0], id.New()}},
		"assistantId":   {ConversationId: c.GetId(), Content: "Hello", AssistantId: id.New()},
	} {
		_, err := r.conversations.StartMessage(ctx, req)
		wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != field {
			t.Errorf("the fault names %v, want %s", v, field)
		}
	}
}

func TestSendMessage_CollectionInTwoSpellings_IsSearchedOnce(t *testing.T) {
	t.Parallel()
	l, r := newLibrary(t)
	ctx := key(t, newScope(), "chat.read", "chat.write", "knowledge.read", "assistants.read")
	twice := []string{strings.ToUpper(l.collections[0]), l.collections[0]}
	c, err := r.conversations.CreateConversation(ctx, &chatv1.CreateConversationRequest{Conversation: &chatv1.Conversation{CollectionIds: twice}})
	must(t, err)
	s := &stream{ctx: ctx}
	must(t, r.conversations.SendMessage(&chatv1.SendMessageRequest{ConversationId: c.GetId(), Content: "Hello", CollectionIds: twice}, s))
	if got := l.last().Caller.CollectionIDs; len(c.GetCollectionIds()) != 1 || !slices.Equal(got, l.collections[:1]) {
		t.Errorf("the conversation has %v, the run searches %v", c.GetCollectionIds(), got)
	}
}

// All callers share one assistant value. So a run must not write into its list of
// collections, nor into the capacity behind the list: another run would search there.
func TestSendMessage_AssistantIsShared_IsNotChanged(t *testing.T) {
	t.Parallel()
	l, r := newLibrary(t)
	shared := make([]string, 1, 4)
	shared[0] = l.collections[0]
	l.assistant.CollectionIds = shared
	ctx := key(t, newScope(), "chat.read", "chat.write", "knowledge.read", "assistants.read")
	c, err := r.conversations.CreateConversation(ctx, &chatv1.CreateConversationRequest{
		Conversation: &chatv1.Conversation{AssistantId: l.assistant.GetId(), CollectionIds: l.collections[1:]},
	})
	must(t, err)
	must(t, r.conversations.SendMessage(&chatv1.SendMessageRequest{ConversationId: c.GetId(), Content: "Hello"}, &stream{ctx: ctx}))
	if got := l.last().Caller.CollectionIDs; len(got) != 2 {
		t.Errorf("the run searches in %v", got)
	}
	if behind := shared[:2][1]; behind != "" {
		t.Errorf("the run wrote %q behind the assistant's collections", behind)
	}
}

// A client may send back a deleted assistant and a deleted collection that it has read.
func TestUpdateConversation_NamesDeletedResources_KeepsThem(t *testing.T) {
	t.Parallel()
	l, r := newLibrary(t)
	ctx := key(t, newScope(), "chat.read", "chat.write", "knowledge.read", "assistants.read")
	c, err := r.conversations.CreateConversation(ctx, &chatv1.CreateConversationRequest{
		Conversation: &chatv1.Conversation{AssistantId: l.assistant.GetId(), CollectionIds: l.collections},
	})
	must(t, err)
	l.assistant, l.collections = &managementv1.Assistant{}, l.collections[:1]
	c.Title = "Another"
	c, err = r.conversations.UpdateConversation(ctx, &chatv1.UpdateConversationRequest{Conversation: c})
	if err != nil || c.GetTitle() != "Another" || len(c.GetCollectionIds()) != 2 {
		t.Errorf("saved as %v, %v", c, err)
	}
	c.CollectionIds = append(c.CollectionIds, id.New())
	_, err = r.conversations.UpdateConversation(ctx, &chatv1.UpdateConversationRequest{Conversation: c})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
}
