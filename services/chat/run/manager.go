package run

import (
	"context"
	"log/slog"
	"sync"

	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	"github.com/gatehouse/gatehouse/services/chat/conversation"
)

// manager joins the parts of the room: it builds them, starts them and stops them in
// order. It is safe for concurrent use, and has no lock of its own.
//
// run executes three kinds of goroutines, and returns after all of them have ended: the
// batcher's, the sweeper's (the goroutine of run itself), and one for each run of the
// executor. Readers and starts run on the goroutines of their requests.
type manager struct {
	store    *store
	runs     *liveRuns
	batcher  *batcher
	executor *executor
	starter  *starter
	sweeper  *sweeper
	watcher  *watcher
}

func newManager(deps Deps) (*manager, error) {
	used, err := newUsage(deps.Meter)
	if err != nil {
		return nil, err
	}
	cfg, owner := deps.Config.withDefaults(), id.New()
	j := beginJournal(cfg.Journal, owner, deps.Log)
	runs, subs := newLiveRuns(), newSubscriptions()
	m := &manager{runs: runs, store: newStore(deps.DB, deps.Clock, cfg, owner)}
	m.batcher = newBatcher(cfg, owner, m.store, runs, j, deps.Clock, deps.Log)
	m.executor = newExecutor(cfg, deps, runs, m.batcher, j, used)
	m.starter = newStarter(cfg, deps, m.store, m.executor)
	m.sweeper = newSweeper(cfg, m.store, newRecovery(cfg.Journal, m.store, deps.Clock), runs, m.batcher, used, deps.Clock, deps.Log)
	m.watcher = newWatcher(cfg.Poll, m.store, runs, subs, deps.Clock)
	deps.Listener.Handle(eventsChannel, func(_ context.Context, payload string) { subs.notify(payload) })
	deps.Listener.Handle(conversation.CancelChannel, func(_ context.Context, runID string) { runs.cancel(runID, errCancelled) })
	deps.Listener.OnConnect(func(context.Context) { subs.notify(allRuns) })
	return m, nil
}

// beginJournal opens the journal of an owner, or returns nil when dir is empty. When the
// journal cannot be opened, runs work without it.
func beginJournal(dir, owner string, log *slog.Logger) *journal {
	if dir == "" {
		return nil
	}
	j, err := openJournal(dir, owner)
	if err != nil {
		log.Warn("the journal of runs cannot be opened: if this process is killed, readers may have seen events that are then lost", "error", err)
		return nil
	}
	return j
}

// run stores the events of this process's runs, and ends the runs of lost processes,
// until ctx ends. Then it starts and claims no more runs, and waits for its own for
// [Config.Grace]. It interrupts those that still run, and stores their text.
func (m *manager) run(ctx context.Context) error {
	writing, stopWriting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWriting()
	var written sync.WaitGroup
	written.Go(func() { m.batcher.run(writing) })
	m.sweeper.run(ctx)
	m.executor.drain()
	stopWriting()
	written.Wait()
	return m.batcher.closeJournal()
}

// get returns a run of a user, or NOT_FOUND.
func (m *manager) get(ctx context.Context, scope postgres.Scope, id string) (*chatv1.Run, error) {
	r, err := m.store.get(ctx, scope, id)
	if err != nil {
		return nil, err
	}
	return encode(r), nil
}

// cancel requests that a run stops, in whichever process it is executed, and returns the
// run as it was before.
func (m *manager) cancel(ctx context.Context, scope postgres.Scope, id string) (*chatv1.Run, error) {
	r, err := m.store.cancel(ctx, scope, id)
	if err != nil {
		return nil, err
	}
	m.runs.cancel(id, errCancelled)
	return encode(r), nil
}
