package run_test

import (
	"strings"
	"testing"
	"time"

	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
	"github.com/gatehouse/gatehouse/services/chat/run"
)

// skewed is the clock of a machine that is ahead of other machines.
type skewed struct {
	clock.Clock
	by time.Duration
}

func (s skewed) Now() time.Time { return s.Clock.Now().Add(s.by) }

// The clocks of replicas differ, by more than the time that a program needs for the next
// message of a conversation.
func TestMessages_ClocksOfReplicasDiffer_KeepTheirOrder(t *testing.T) {
	t.Parallel()
	database, scope := pgtest.New(t, migrations.Set()), newScope()
	eng, err := engine.New(engine.Deps{
		Models: models(t), Tools: []tool.Tool{tool.Calculator()}, Clock: clock.System(), Tracer: tracenoop.NewTracerProvider().Tracer("test"),
	})
	must(t, err)
	ahead := newReplicaOn(t, database.Open(t, migrations.Role), skewed{clock.System(), time.Minute}, eng, run.Config{})
	here := newReplica(t, database, eng, run.Config{})
	first := ahead.ask(t, scope, "What is 12 * 12?").GetRun()
	checkLog(t, ahead.watch(t, scope, first.GetId(), 0).events)
	second, err := here.conversations.StartMessage(as(t, scope), &chatv1.SendMessageRequest{ConversationId: first.GetConversationId(), Content: "What is 3 * 3?"})
	must(t, err)
	if end := checkLog(t, here.watch(t, scope, second.GetRun().GetId(), 0).events); !strings.Contains(end.GetRunCompleted().GetMessage().GetContent(), "9") {
		t.Errorf("ended with %v", end)
	}
	listed, err := here.conversations.ListMessages(as(t, scope), &chatv1.ListMessagesRequest{ConversationId: first.GetConversationId()})
	must(t, err)
	var contents []string
	for _, m := range listed.GetMessages() {
		contents = append(contents, m.GetContent())
	}
	if len(contents) != 4 || contents[0] != "What is 12 * 12?" || !strings.Contains(contents[1], "144") || contents[2] != "What is 3 * 3?" {
		t.Errorf("the conversation reads %q", contents)
	}
}
