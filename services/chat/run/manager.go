package run

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/conversation"
	"github.com/gatehouse/gatehouse/services/chat/engine"
)

const (
	// eventsChannel announces the ids of runs with new events, comma separated,
	// or "*" for many.
	eventsChannel = "chat_run_events"
	// flushTimeout bounds each write; finalTimeout the last one of a process.
	flushTimeout = 10 * time.Second
	finalTimeout = 5 * time.Second
	sweepLimit   = 100
	// firstAttempt is the attempt of the process that starts a run.
	firstAttempt = 1
)

// Why a run's context ends.
var (
	errCancelled   = errors.New("somebody asked the run to stop")
	errInterrupted = errors.New("the process stops")
)

// Config is how a process treats its runs. A zero field takes its default.
type Config struct {
	// Flush is how long new events wait to be stored together; 50 ms.
	Flush time.Duration
	// Lease is how long a run outlives the last sign of its process; 15 s.
	Lease time.Duration
	// Poll is how often a reader of another process's run looks for events of
	// which no notification came; 1 s.
	Poll time.Duration
	// Deadline bounds a run; 10 min.
	Deadline time.Duration
	// Grace is how long runs may go on when the process stops; 5 s.
	Grace time.Duration
	// Block is how many numbers of a run's events are reserved ahead of the stored
	// events; 1024. Readers see no event past it. A model of 1,000 tokens a second
	// uses a twentieth of a block between two writes, so a write that takes a second
	// does not hold it up.
	Block int32
	// PerUser and PerOrganization are how many runs a user, in all organizations, and
	// an organization may have at once. 0 means no limit.
	PerUser, PerOrganization int32
	// Journal is a folder of this machine where processes note what their readers
	// have seen, for the case that they are killed. Empty notes nothing: what was
	// seen within the last Flush is then lost with the process.
	Journal string
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Flush, 50 * time.Millisecond}, {&c.Lease, 15 * time.Second}, {&c.Poll, time.Second},
		{&c.Deadline, 10 * time.Minute}, {&c.Grace, 5 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if c.Block <= 0 {
		c.Block = 1024
	}
	return c
}

// Engine answers a message; *engine.Engine does.
type Engine interface {
	Run(ctx context.Context, req engine.Request, out engine.Emitter) (engine.Outcome, error)
}

// Deps is what a manager needs; all of it.
type Deps struct {
	DB            *postgres.DB
	Conversations *conversation.Store
	// Listener hears of other processes' runs. Whoever made it runs it, for as long
	// as the manager runs.
	Listener *postgres.Listener
	Engine   Engine
	Clock    clock.Clock
	Log      *slog.Logger
	Meter    metric.Meter
}

// Manager executes the runs of a process, and lets readers follow any run.
type Manager struct {
	cfg           Config
	db            *postgres.DB
	conversations *conversation.Store
	engine        Engine
	clock         clock.Clock
	log           *slog.Logger
	tokens        metric.Int64Counter
	owner         string
	journal       *journal      // nil without one
	dirty         chan struct{} // there is something to store
	urgent        chan struct{} // the batch cannot wait for more events
	stored        bool          // the last batch; the writer's alone
	patient       time.Time     // no run is claimed before this time; the sweep's alone
	executors     sync.WaitGroup
	starts        gates

	// owning is held while a batch is written and while runs are claimed: both decide whose
	// a run is, by its attempt in the database and here.
	owning sync.Mutex

	mu       sync.Mutex
	stopping bool
	writing  map[*live]struct{} // what the batch writes
	local    map[string]*live   // of these, the executed ones, by run
	watchers map[string]map[chan struct{}]struct{}
}

// NewManager returns a manager; Run has to run for its runs to be stored.
func NewManager(cfg Config, deps Deps) (*Manager, error) {
	if deps.DB == nil || deps.Conversations == nil || deps.Listener == nil || deps.Engine == nil || deps.Clock == nil || deps.Log == nil || deps.Meter == nil {
		return nil, errors.New("run: every dependency is required")
	}
	tokens, err := deps.Meter.Int64Counter("gatehouse.run.tokens", metric.WithUnit("{token}"),
		metric.WithDescription("Tokens that runs have read and written."))
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the metrics of runs cannot be made")
	}
	m := &Manager{
		cfg: cfg.withDefaults(), db: deps.DB, conversations: deps.Conversations, engine: deps.Engine, clock: deps.Clock,
		log: deps.Log, tokens: tokens, owner: id.New(), dirty: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		writing: map[*live]struct{}{}, local: map[string]*live{}, watchers: map[string]map[chan struct{}]struct{}{},
		stored: true,
	}
	deps.Listener.Handle(eventsChannel, func(_ context.Context, payload string) { m.wake(payload) })
	deps.Listener.Handle(conversation.CancelChannel, func(_ context.Context, payload string) { m.cancelLocal(payload) })
	deps.Listener.OnConnect(func(context.Context) { m.wake("*") })
	if cfg.Journal != "" {
		if m.journal, err = openJournal(cfg.Journal, m.owner); err != nil {
			m.log.Warn("what readers have just seen is lost if this process is killed: there is no place to note it", "error", err)
			m.journal = nil
		}
	}
	return m, nil
}

// Run stores what the process's runs emit, hears of others, and ends runs
// whose process died, until ctx ends. Then runs have a grace to finish; those
// that do not are interrupted, with their text kept.
func (m *Manager) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var batch sync.WaitGroup
	batch.Go(func() { m.write(work) })
	m.sweep(ctx) // until ctx ends: no run is claimed any more
	m.drain()
	stop()
	batch.Wait()
	return m.endJournal()
}

// endJournal leaves a journal behind only if it holds what could not be stored.
func (m *Manager) endJournal() error {
	if m.stored {
		return m.journal.remove()
	}
	return m.journal.close()
}

// drain waits for the runs, at first patiently.
func (m *Manager) drain() {
	m.mu.Lock()
	m.stopping = true
	m.mu.Unlock()
	done := make(chan struct{})
	go func() {
		m.executors.Wait()
		close(done)
	}()
	grace := m.clock.NewTimer(m.cfg.Grace)
	defer grace.Stop()
	select {
	case <-done:
		return
	case <-grace.C():
	}
	m.mu.Lock()
	for _, l := range m.local {
		l.cancel(errInterrupted)
	}
	m.mu.Unlock()
	<-done
}

// reserve makes room for an executor that has to be waited for.
func (m *Manager) reserve() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopping {
		return fault.New(faultv1.Reason_REASON_UNAVAILABLE, "the server is stopping").WithRetryAfter(time.Second)
	}
	m.executors.Add(1)
	return nil
}

func (m *Manager) add(l *live, executed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writing[l] = struct{}{}
	if executed {
		m.local[l.run.ID] = l
	}
}

func (m *Manager) remove(l *live) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.writing, l)
	if m.local[l.run.ID] == l {
		delete(m.local, l.run.ID)
	}
}

func (m *Manager) find(scope postgres.Scope, runID string) *live {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.local[runID]; l != nil && l.scope == scope {
		return l
	}
	return nil
}

// cancelLocal stops a run if it is executed here.
func (m *Manager) cancelLocal(runID string) {
	m.mu.Lock()
	l := m.local[runID]
	m.mu.Unlock()
	if l != nil {
		l.cancel(errCancelled)
	}
}

// touch has the batch written soon.
func (m *Manager) touch() { signal(m.dirty) }

// hurry has the batch written at once.
func (m *Manager) hurry() {
	signal(m.urgent)
	signal(m.dirty)
}

func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// subscribe returns a channel that hears of new events of a run.
func (m *Manager) subscribe(runID string) (chan struct{}, func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	heard := make(chan struct{}, 1)
	if m.watchers[runID] == nil {
		m.watchers[runID] = map[chan struct{}]struct{}{}
	}
	m.watchers[runID][heard] = struct{}{}
	return heard, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers[runID], heard)
		if len(m.watchers[runID]) == 0 {
			delete(m.watchers, runID)
		}
	}
}

// wake tells readers of what a notification names.
func (m *Manager) wake(payload string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if payload == "*" {
		for _, readers := range m.watchers {
			ring(readers)
		}
		return
	}
	for runID := range strings.SplitSeq(payload, ",") {
		ring(m.watchers[runID])
	}
}

func ring(readers map[chan struct{}]struct{}) {
	for reader := range readers {
		signal(reader)
	}
}

// stateOf tells how a run ends whose context ended, or why it failed.
func stateOf(cause error) chatv1.Run_State {
	switch {
	case errors.Is(cause, errCancelled):
		return chatv1.Run_CANCELLED
	case errors.Is(cause, errInterrupted):
		return chatv1.Run_INTERRUPTED
	default:
		return chatv1.Run_FAILED
	}
}
