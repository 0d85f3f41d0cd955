package run_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
	"github.com/gatehouse/gatehouse/services/chat/conversation"
	"github.com/gatehouse/gatehouse/services/chat/engine"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
	"github.com/gatehouse/gatehouse/services/chat/engine/provider/local"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
	"github.com/gatehouse/gatehouse/services/chat/run"
	"github.com/gatehouse/gatehouse/services/chat/ticket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gated says two words, then waits for the gate, then says two more.
type gated struct {
	gate chan struct{}
	fail error
}

func (g *gated) Run(ctx context.Context, _ engine.Request, out engine.Emitter) (engine.Outcome, error) {
	result := engine.Outcome{Model: "test/gated", Usage: model.Usage{InputTokens: 3, OutputTokens: 4}}
	say := func(words ...string) error {
		for _, word := range words {
			if err := out.Emit(ctx, engine.MessageDelta{Text: word}); err != nil {
				return err
			}
			result.Content += word
		}
		return nil
	}
	if err := say("one ", "two "); err != nil {
		return result, err
	}
	select {
	case <-g.gate:
	case <-ctx.Done():
		return result, fault.From(ctx.Err())
	}
	if g.fail != nil {
		return result, g.fail
	}
	return result, say("three ", "four")
}

type nobody struct{}

func (nobody) Resolve(context.Context, string, string) (*managementv1.Assistant, error) {
	return nil, fault.NotFound("assistant")
}

func (nobody) Missing(_ context.Context, _ postgres.Scope, ids []string) ([]string, error) {
	return ids, nil
}

func (nobody) Require(context.Context, string) error { return nil }

// replica is one process on a database.
type replica struct {
	service       *run.Service
	conversations *conversation.Service
	store         *conversation.Store
	tickets       *ticket.Tickets
	stop          func()
}

func newReplica(t *testing.T, database *pgtest.Database, eng run.Engine, cfg run.Config) *replica {
	t.Helper()
	return newReplicaOn(t, database.Open(t, migrations.Role), clock.System(), eng, cfg)
}

// pauses counts the calls of After.
type pauses struct {
	clock.Clock

	n atomic.Int32
}

func (p *pauses) After(d time.Duration) <-chan time.Time {
	p.n.Add(1)
	return p.Clock.After(d)
}

// newReplicaOn returns a replica that has completed its first sweep, so that it does not
// claim runs before the next one. edit may change the dependencies.
func newReplicaOn(t *testing.T, db *postgres.DB, clk clock.Clock, eng run.Engine, cfg run.Config, edit ...func(*run.Deps)) *replica {
	t.Helper()
	waits := &pauses{Clock: clk}
	tokens, err := paging.NewTokens(pgtest.SecretKey())
	must(t, err)
	listener := db.NewListener()
	r := &replica{store: conversation.NewStore(db, tokens)}
	r.tickets, err = ticket.New(ticket.Deps{DB: db, Clock: clock.System(), Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	deps := run.Deps{
		Config: cfg, DB: db, Conversations: r.store, Listener: listener, Engine: eng, Models: models(t),
		Assistants: nobody{}, Collections: nobody{}, Tickets: r.tickets, Rights: nobody{}, Clock: waits,
		Log: slog.New(slog.DiscardHandler), Meter: metricnoop.NewMeterProvider().Meter("test"),
	}
	for _, change := range edit {
		change(&deps)
	}
	r.service, err = run.New(deps)
	must(t, err)
	r.conversations, err = conversation.NewService(conversation.Deps{Store: r.store, Messenger: r.service, Clock: clock.System()})
	must(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return listener.Run(ctx) })
	group.Go(func() error { return r.service.Run(ctx) })
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	waitUntil(t, "the writer and the sweeper wait", func() bool { return waits.n.Load() >= 2 })
	return r
}

func models(t *testing.T) *model.Registry {
	t.Helper()
	registry, err := model.NewRegistry("local/extractive", map[string]model.Provider{"local": local.New(local.Options{})})
	must(t, err)
	return registry
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantReason(t *testing.T, err error, want faultv1.Reason) {
	t.Helper()
	if got := fault.ReasonOf(err); got != want {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
}

func newScope() postgres.Scope { return postgres.Scope{OrganizationID: id.New(), UserID: id.New()} }

func as(t *testing.T, scope postgres.Scope, pairs ...string) context.Context {
	t.Helper()
	ctx := identity.NewContext(t.Context(), &identity.Principal{OrganizationID: scope.OrganizationID, UserID: scope.UserID})
	return metadata.NewIncomingContext(ctx, metadata.Pairs(pairs...))
}

func (r *replica) ask(t *testing.T, scope postgres.Scope, content string) *chatv1.StartMessageResponse {
	t.Helper()
	c, err := r.conversations.CreateConversation(as(t, scope), &chatv1.CreateConversationRequest{})
	must(t, err)
	out, err := r.conversations.StartMessage(as(t, scope), &chatv1.SendMessageRequest{ConversationId: c.GetId(), Content: content})
	must(t, err)
	return out
}

// stream is the server's side of a stream, of which the events are kept.
type stream struct {
	grpc.ServerStream
	ctx    context.Context
	header metadata.MD
	events []*chatv1.RunEvent
	each   func(*chatv1.RunEvent)
}

func (s *stream) Context() context.Context { return s.ctx }

func (s *stream) SendHeader(header metadata.MD) error { s.header = header; return nil }

func (s *stream) Send(event *chatv1.RunEvent) error {
	s.events = append(s.events, event)
	if s.each != nil {
		s.each(event)
	}
	return nil
}

func (r *replica) watch(t *testing.T, scope postgres.Scope, runID string, after int32) *stream {
	t.Helper()
	s := &stream{ctx: as(t, scope)}
	must(t, r.service.WatchRun(&chatv1.WatchRunRequest{RunId: runID, AfterSeq: after}, s))
	return s
}

// follow watches in the background and tells when an event of a number came.
func (r *replica) follow(t *testing.T, scope postgres.Scope, runID string, until int32) (reached <-chan struct{}, result <-chan *stream) {
	t.Helper()
	at, out := make(chan struct{}), make(chan *stream, 1)
	s := &stream{ctx: as(t, scope), each: func(event *chatv1.RunEvent) {
		if event.GetSeq() == until {
			close(at)
		}
	}}
	go func() {
		if err := r.service.WatchRun(&chatv1.WatchRunRequest{RunId: runID}, s); err != nil {
			t.Error(err)
		}
		out <- s
	}()
	return at, out
}

func text(events []*chatv1.RunEvent) string {
	var b strings.Builder
	for _, event := range events {
		b.WriteString(event.GetMessageDelta().GetText())
	}
	return b.String()
}

func raw(t *testing.T, events []*chatv1.RunEvent) []byte {
	t.Helper()
	var all []byte
	for _, event := range events {
		one, err := proto.MarshalOptions{Deterministic: true}.Marshal(event)
		must(t, err)
		all = append(append(all, one...), '\n')
	}
	return all
}

func checkLog(t *testing.T, events []*chatv1.RunEvent) *chatv1.RunEvent {
	t.Helper()
	if len(events) < 2 || events[0].GetRunStarted() == nil {
		t.Fatalf("the log does not begin with run.started: %v", events)
	}
	for i, event := range events {
		// A gap is possible only before the end of a run whose process was lost.
		gap := event.GetRunInterrupted() != nil && event.GetSeq() > int32(i+1)
		if event.GetSeq() != int32(i+1) && !gap {
			t.Fatalf("event %d has the number %d", i+1, event.GetSeq())
		}
	}
	return events[len(events)-1]
}

func TestAnswerOfTheLocalModel(t *testing.T) {
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
		t.Errorf("the conversation holds %v", listed.GetMessages())
	}
	replayed := r.watch(t, scope, started.GetRun().GetId(), 0).events
	if !bytes.Equal(raw(t, events), raw(t, replayed)) {
		t.Error("two readers saw different logs")
	}
	for after := range end.GetSeq() {
		rest := r.watch(t, scope, started.GetRun().GetId(), after).events
		if !bytes.Equal(raw(t, rest), raw(t, events[after:])) {
			t.Errorf("after %d came %v", after, rest)
		}
	}
	over := r.watch(t, scope, started.GetRun().GetId(), end.GetSeq())
	if len(over.events) != 0 || len(over.header.Get("x-gatehouse-run-finished")) != 1 {
		t.Errorf("past the end came %v with %v", over.events, over.header)
	}
	_, err = r.service.CancelRun(as(t, scope), &chatv1.CancelRunRequest{Id: started.GetRun().GetId()})
	wantReason(t, err, faultv1.Reason_REASON_RUN_FINISHED)
}

// S72: what was used before a cancellation is kept.
func TestReplicasFollowAndCancelTheSameRun(t *testing.T) {
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
		t.Error("a reader that is ahead is not told when to come again")
	}
	_, err = there.service.CancelRun(as(t, scope), &chatv1.CancelRunRequest{Id: runID})
	must(t, err)
	a, b := <-near, <-far
	if end := checkLog(t, a.events); end.GetRunCancelled().GetMessage().GetContent() != "one two " {
		t.Errorf("ended with %v", end)
	}
	if !bytes.Equal(raw(t, a.events), raw(t, b.events)) {
		t.Error("the replicas told different stories")
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
	gone := &stream{ctx: ctx, each: func(*chatv1.RunEvent) { leave() }}
	req := &chatv1.SendMessageRequest{ConversationId: c.GetId(), Content: "Hello"}
	wantReason(t, r.conversations.SendMessage(req, gone), faultv1.Reason_REASON_CANCELLED)
	_, err = r.conversations.StartMessage(as(t, scope), req)
	wantReason(t, err, faultv1.Reason_REASON_RUN_IN_PROGRESS)
	close(eng.gate)
	events := r.watch(t, scope, gone.events[0].GetRunId(), 0).events
	if end := checkLog(t, events); end.GetRunCompleted().GetMessage().GetContent() != "one two three four" {
		t.Errorf("ended with %v", end)
	}
}

func TestIdempotencyKeyFollowsTheSameRun(t *testing.T) {
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

func TestFailureKeepsTheText(t *testing.T) {
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

// S41, S68: nobody reads or cancels another's run.
func TestOthersFindNoRun(t *testing.T) {
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

func TestStopInterruptsWhatDoesNotEnd(t *testing.T) {
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

// S72: a process that dies leaves no run open.
func TestExpiredLeaseIsInterruptedWithItsText(t *testing.T) {
	t.Parallel()
	database, eng, scope := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}, newScope()
	here := newReplica(t, database, eng, run.Config{Lease: time.Hour, Block: 100})
	there := newReplica(t, database, eng, run.Config{Lease: 300 * time.Millisecond})
	runID := here.ask(t, scope, "Hello").GetRun().GetId()
	// What the other replica sees is stored.
	at, far := there.follow(t, scope, runID, 3)
	<-at
	database.AdminExec(t, "UPDATE chat.runs SET lease_until = now() - interval '1 second' WHERE id = $1", runID)
	s := <-far
	end := checkLog(t, s.events)
	if end.GetRunInterrupted().GetMessage().GetContent() != "one two " || end.GetSeq() != 104 {
		t.Errorf("ended with %v", end)
	}
	// The first owner lives and goes on; what it writes is dropped.
	close(eng.gate)
	here.stop()
	if after := there.watch(t, scope, runID, 0).events; !bytes.Equal(raw(t, after), raw(t, s.events)) {
		t.Errorf("the old owner still wrote: %v", after)
	}
}

func TestDeletingTheConversationEndsItsRun(t *testing.T) {
	t.Parallel()
	eng, scope := &gated{gate: make(chan struct{})}, newScope()
	r := newReplica(t, pgtest.New(t, migrations.Set()), eng, run.Config{})
	started := r.ask(t, scope, "Hello").GetRun()
	at, gone := make(chan struct{}), make(chan error, 1)
	s := &stream{ctx: as(t, scope), each: func(event *chatv1.RunEvent) {
		if event.GetSeq() == 3 {
			close(at)
		}
	}}
	go func() { gone <- r.service.WatchRun(&chatv1.WatchRunRequest{RunId: started.GetId()}, s) }()
	<-at
	c, err := r.conversations.GetConversation(as(t, scope), &chatv1.GetConversationRequest{Id: started.GetConversationId()})
	must(t, err)
	if c.GetActiveRun().GetId() != started.GetId() || c.GetTitle() != "Hello" {
		t.Errorf("the conversation is %v", c)
	}
	_, err = r.conversations.DeleteConversation(as(t, scope), &chatv1.DeleteConversationRequest{Id: started.GetConversationId()})
	must(t, err)
	wantReason(t, <-gone, faultv1.Reason_REASON_NOT_FOUND)
}

func TestS59SlowReaderHoldsUpNobody(t *testing.T) {
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

func waitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(20*time.Second), time.NewTicker(5*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not in time: %s", what)
		}
	}
}
