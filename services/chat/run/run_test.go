package run_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
	"github.com/gatehouse/gatehouse/services/chat/run"
)

func TestSendMessage_LocalModel_AnswersAndReplays(t *testing.T) {
	t.Parallel()
	eng, err := engine.New(engine.Deps{
		Models: models(t), Tools: []tool.Tool{tool.Calculator()}, Clock: clock.System(), Tracer: tracenoop.NewTracerProvider().Tracer("test"),
	})
	must(t, err)
	r := newReplica(t, pgtest.New(t, migrations.Set()), eng, run.Config{})
	scope := newScope()
	started := r.ask(t, scope, "What is 12 * 12?")
	events := r.watch(t, scope, started.GetRun().GetId(), 0).events
	end := checkLog(t, events)
	message := end.GetRunCompleted().GetMessage()
	if message.GetContent() != text(events) || !strings.Contains(message.GetContent(), "144") {
		t.Errorf("deltas %q, message %q", text(events), message.GetContent())
	}
	listed, err := r.conversations.ListMessages(as(t, scope), &chatv1.ListMessagesRequest{ConversationId: started.GetRun().GetConversationId()})
	must(t, err)
	if n := len(listed.GetMessages()); n != 2 || listed.GetMessages()[1].GetContent() != message.GetContent() {
		t.Errorf("the conversation contains %v", listed.GetMessages())
	}
	replayed := r.watch(t, scope, started.GetRun().GetId(), 0).events
	if !bytes.Equal(raw(t, events), raw(t, replayed)) {
		t.Error("two readers saw different logs")
	}
	for after := range end.GetSeq() {
		rest := r.watch(t, scope, started.GetRun().GetId(), after).events
		if !bytes.Equal(raw(t, rest), raw(t, events[after:])) {
			t.Errorf("after %d the reader received %v", after, rest)
		}
	}
	past := r.watch(t, scope, started.GetRun().GetId(), end.GetSeq())
	if len(past.events) != 0 || len(past.header.Get("x-gatehouse-run-finished")) != 1 {
		t.Errorf("past the end the reader received %v with %v", past.events, past.header)
	}
	_, err = r.service.CancelRun(as(t, scope), &chatv1.CancelRunRequest{Id: started.GetRun().GetId()})
	wantReason(t, err, faultv1.Reason_REASON_RUN_FINISHED)
}

// S72: the tokens that were used before a cancellation are counted.
func TestCancelRun_OnAnotherReplica_EndsTheRun(t *testing.T) {
	t.Parallel()
	database, eng, scope := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope()
	here, there := newReplica(t, database, eng, run.Config{}), newReplica(t, database, eng, run.Config{})
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	nearAt, near := here.follow(t, scope, runID, 3)
	farAt, far := there.follow(t, scope, runID, 3)
	<-nearAt
	<-farAt
	err := here.service.WatchRun(&chatv1.WatchRunRequest{RunId: runID, AfterSeq: 99}, &stream{ctx: as(t, scope)})
	wantReason(t, err, faultv1.Reason_REASON_UNAVAILABLE)
	if after := fault.From(err).RetryAfter(); after <= 0 {
		t.Error("the refusal of a reader that is ahead does not say when to retry")
	}
	_, err = there.service.CancelRun(as(t, scope), &chatv1.CancelRunRequest{Id: runID})
	must(t, err)
	a, b := <-near, <-far
	if end := checkLog(t, a.events); end.GetRunCancelled().GetMessage().GetContent() != "one two " {
		t.Errorf("ended with %v", end)
	}
	if !bytes.Equal(raw(t, a.events), raw(t, b.events)) {
		t.Error("the readers of two replicas saw different events")
	}
	stored, err := there.service.GetRun(as(t, scope), &chatv1.GetRunRequest{Id: runID})
	must(t, err)
	if stored.GetState() != chatv1.Run_CANCELLED || stored.GetUsage().GetOutputTokens() != 4 {
		t.Errorf("stored as %v", stored)
	}
}

func TestS72RunOutlivesItsReaders(t *testing.T) {
	t.Parallel()
	eng, scope := &gated{gate: make(chan struct{})}, newScope()
	r := newReplica(t, pgtest.New(t, migrations.Set()), eng, run.Config{})
	c, err := r.conversations.CreateConversation(as(t, scope), &chatv1.CreateConversationRequest{})
	must(t, err)
	ctx, leave := context.WithCancel(as(t, scope))
	first := &stream{ctx: ctx, each: func(*chatv1.RunEvent) { leave() }}
	req := &chatv1.SendMessageRequest{ConversationId: c.GetId(), Content: "Hello"}
	wantReason(t, r.conversations.SendMessage(req, first), faultv1.Reason_REASON_CANCELLED)
	_, err = r.conversations.StartMessage(as(t, scope), req)
	wantReason(t, err, faultv1.Reason_REASON_RUN_IN_PROGRESS)
	close(eng.gate)
	events := r.watch(t, scope, first.events[0].GetRunId(), 0).events
	if end := checkLog(t, events); end.GetRunCompleted().GetMessage().GetContent() != "one two three four" {
		t.Errorf("ended with %v", end)
	}
}

func TestSendMessage_SameIdempotencyKey_FollowsTheSameRun(t *testing.T) {
	t.Parallel()
	eng, scope := &gated{gate: make(chan struct{})}, newScope()
	close(eng.gate)
	r := newReplica(t, pgtest.New(t, migrations.Set()), eng, run.Config{})
	c, err := r.conversations.CreateConversation(as(t, scope), &chatv1.CreateConversationRequest{})
	must(t, err)
	send := func(content string) (*stream, error) {
		s := &stream{ctx: as(t, scope, "idempotency-key", "k1")}
		return s, r.conversations.SendMessage(&chatv1.SendMessageRequest{ConversationId: c.GetId(), Content: content}, s)
	}
	first, err := send("Hello")
	must(t, err)
	again, err := send("Hello")
	must(t, err)
	if !bytes.Equal(raw(t, first.events), raw(t, again.events)) || len(first.header) != 0 || again.header.Get("idempotency-replayed")[0] != "true" {
		t.Errorf("first %v %v, again %v %v", first.header, first.events, again.header, again.events)
	}
	_, err = send("Good day")
	wantReason(t, err, faultv1.Reason_REASON_IDEMPOTENCY_MISMATCH)
}

func TestRun_EngineFails_KeepsTheText(t *testing.T) {
	t.Parallel()
	eng := &gated{gate: make(chan struct{}), fail: fault.New(faultv1.Reason_REASON_PROVIDER_UNAVAILABLE, "the provider is away")}
	close(eng.gate)
	scope := newScope()
	r := newReplica(t, pgtest.New(t, migrations.Set()), eng, run.Config{})
	events := r.watch(t, scope, r.ask(t, scope, "Hello").GetRun().GetId(), 0).events
	failed := checkLog(t, events).GetRunFailed()
	if failed.GetError().GetReason() != "PROVIDER_UNAVAILABLE" || failed.GetMessage().GetContent() != "one two " {
		t.Errorf("failed as %v", failed)
	}
}

// S41, S68: a run can be neither read nor canceled by another user.
func TestRun_CallerIsAnotherUser_IsNotFound(t *testing.T) {
	t.Parallel()
	eng, scope := &gated{gate: make(chan struct{})}, newScope()
	r := newReplica(t, pgtest.New(t, migrations.Set()), eng, run.Config{Grace: time.Millisecond})
	started := r.ask(t, scope, "Hello").GetRun()
	for _, other := range []postgres.Scope{{OrganizationID: scope.OrganizationID, UserID: id.New()}, {OrganizationID: id.New(), UserID: scope.UserID}} {
		_, err := r.service.GetRun(as(t, other), &chatv1.GetRunRequest{Id: started.GetId()})
		wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
		_, err = r.service.CancelRun(as(t, other), &chatv1.CancelRunRequest{Id: started.GetId()})
		wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
		err = r.service.WatchRun(&chatv1.WatchRunRequest{RunId: started.GetId()}, &stream{ctx: as(t, other)})
		wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
		_, err = r.service.StartMessage(as(t, other), &chatv1.SendMessageRequest{ConversationId: started.GetConversationId(), Content: "x"})
		wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	}
	_, err := r.service.StartMessage(as(t, scope), &chatv1.SendMessageRequest{ConversationId: started.GetConversationId(), Content: "x", CollectionIds: []string{id.New()}})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	_, err = r.service.StartMessage(as(t, scope), &chatv1.SendMessageRequest{ConversationId: started.GetConversationId(), Content: "x", Model: "nobody/nothing"})
	wantReason(t, err, faultv1.Reason_REASON_MODEL_NOT_CONFIGURED)
}

func TestService_Stops_InterruptsRemainingRuns(t *testing.T) {
	t.Parallel()
	database, eng, scope := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope()
	here, there := newReplica(t, database, eng, run.Config{Grace: time.Millisecond}), newReplica(t, database, eng, run.Config{})
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	at, _ := here.follow(t, scope, runID, 3)
	<-at
	here.stop()
	if end := checkLog(t, there.watch(t, scope, runID, 0).events); end.GetRunInterrupted().GetMessage().GetContent() != "one two " {
		t.Errorf("ended with %v", end)
	}
}

// S72: the run of a killed process ends.
func TestRun_LeaseExpires_IsInterruptedWithItsText(t *testing.T) {
	t.Parallel()
	database, eng, scope := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope()
	here := newReplica(t, database, eng, run.Config{Lease: time.Hour, Block: 100})
	there := newReplica(t, database, eng, run.Config{Lease: 300 * time.Millisecond})
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	// The events that the other replica sees are stored.
	at, far := there.follow(t, scope, runID, 3)
	<-at
	database.AdminExec(t, "UPDATE chat.runs SET lease_until = now() - interval '1 second' WHERE id = $1", runID)
	s := <-far
	end := checkLog(t, s.events)
	if end.GetRunInterrupted().GetMessage().GetContent() != "one two " || end.GetSeq() != 104 {
		t.Errorf("ended with %v", end)
	}
	// The first owner is alive and continues; its writes are dropped.
	close(eng.gate)
	here.stop()
	if after := there.watch(t, scope, runID, 0).events; !bytes.Equal(raw(t, after), raw(t, s.events)) {
		t.Errorf("the old owner still wrote: %v", after)
	}
}

func TestDeleteConversation_RunIsLive_EndsIt(t *testing.T) {
	t.Parallel()
	eng, scope := &gated{gate: make(chan struct{})}, newScope()
	r := newReplica(t, pgtest.New(t, migrations.Set()), eng, run.Config{})
	started := r.ask(t, scope, "Hello").GetRun()
	at, watched := make(chan struct{}), make(chan error, 1)
	s := &stream{ctx: as(t, scope), each: func(event *chatv1.RunEvent) {
		if event.GetSeq() == 3 {
			close(at)
		}
	}}
	go func() { watched <- r.service.WatchRun(&chatv1.WatchRunRequest{RunId: started.GetId()}, s) }()
	<-at
	c, err := r.conversations.GetConversation(as(t, scope), &chatv1.GetConversationRequest{Id: started.GetConversationId()})
	must(t, err)
	if c.GetActiveRun().GetId() != started.GetId() || c.GetTitle() != "Hello" {
		t.Errorf("the conversation is %v", c)
	}
	_, err = r.conversations.DeleteConversation(as(t, scope), &chatv1.DeleteConversationRequest{Id: started.GetConversationId()})
	must(t, err)
	wantReason(t, <-watched, faultv1.Reason_REASON_NOT_FOUND)
}

func TestS59SlowReaderDelaysNoOther(t *testing.T) {
	t.Parallel()
	eng, scope := &gated{gate: make(chan struct{})}, newScope()
	close(eng.gate)
	r := newReplica(t, pgtest.New(t, migrations.Set()), eng, run.Config{})
	runID := r.ask(t, scope, "Hello").GetRun().GetId()
	release := make(chan struct{})
	slow := &stream{ctx: as(t, scope), each: func(*chatv1.RunEvent) { <-release }}
	done := make(chan error, 1)
	go func() { done <- r.service.WatchRun(&chatv1.WatchRunRequest{RunId: runID}, slow) }()
	quick := r.watch(t, scope, runID, 0).events
	close(release)
	must(t, <-done)
	if !bytes.Equal(raw(t, quick), raw(t, slow.events)) {
		t.Errorf("the slow reader saw %v", slow.events)
	}
}
