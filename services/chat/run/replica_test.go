package run_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
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
	"github.com/gatehouse/gatehouse/services/chat/migrations"
	"github.com/gatehouse/gatehouse/services/chat/run"
	"github.com/gatehouse/gatehouse/services/chat/ticket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gated is an engine that sends two words, waits until gate is closed, and sends two more.
type gated struct {
	gate chan struct{}
	fail error
}

func (g *gated) Run(ctx context.Context, _ engine.Request, out engine.Emitter) (engine.Outcome, error) {
	result := engine.Outcome{Model: "test/gated", Usage: model.Usage{InputTokens: 3, OutputTokens: 4}}
	send := func(words ...string) error {
		for _, word := range words {
			if err := out.Emit(ctx, engine.MessageDelta{Text: word}); err != nil {
				return err
			}
			result.Content += word
		}
		return nil
	}
	if err := send("one ", "two "); err != nil {
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
	return result, send("three ", "four")
}

// nobody is an organization without assistants and collections, whose callers have every
// right.
type nobody struct{}

func (nobody) Resolve(context.Context, string, string) (*managementv1.Assistant, error) {
	return nil, fault.NotFound("assistant")
}

func (nobody) Missing(_ context.Context, _ postgres.Scope, ids []string) ([]string, error) {
	return ids, nil
}

func (nobody) Require(context.Context, string) error { return nil }

// replica is one process that uses a database.
type replica struct {
	service       *run.Service
	conversations *conversation.Service
	store         *conversation.Store
	tickets       *ticket.Service
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
	r.conversations, err = conversation.New(conversation.Deps{Store: r.store, Messenger: r.service, Clock: clock.System()})
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

// stream is the server's side of a stream. It records the events that are sent.
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

// follow watches in the background. reached is closed when the event with the number until
// was sent.
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
		t.Fatalf("the log does not start with run.started: %v", events)
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

func waitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(20*time.Second), time.NewTicker(5*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
