package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine"
)

// firstAttempt is the attempt of the process that starts a run.
const firstAttempt = 1

// Engine answers messages; *engine.Engine implements it.
type Engine interface {
	Run(ctx context.Context, req engine.Request, out engine.Emitter) (engine.Outcome, error)
}

// historian reads conversations; *conversation.Store implements it.
type historian interface {
	// History returns the newest messages of a conversation, oldest first.
	History(ctx context.Context, scope postgres.Scope, conversationID string) ([]*chatv1.Message, error)
}

// executor executes the runs that this process has started.
//
// Concurrency: each run has a goroutine of its own, which alone appends to the run's log.
// mu guards stopping. reserve counts a run in running before its goroutine starts, and
// drain waits for running, so no goroutine outlives drain.
type executor struct {
	cfg     Config
	history historian
	engine  Engine
	runs    *liveRuns
	writes  waker
	journal *journal // nil without one
	usage   *usage
	clock   clock.Clock
	log     *slog.Logger

	mu       sync.Mutex
	stopping bool
	running  sync.WaitGroup
}

func newExecutor(cfg Config, deps Deps, runs *liveRuns, writes waker, j *journal, u *usage) *executor {
	return &executor{
		cfg: cfg, history: deps.Conversations, engine: deps.Engine, runs: runs, writes: writes, journal: j, usage: u,
		clock: deps.Clock, log: deps.Log,
	}
}

// reserve makes room for a run, which drain then waits for. The caller calls launch or
// release afterwards. It refuses when the process stops.
func (e *executor) reserve() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping {
		return fault.New(faultv1.Reason_REASON_UNAVAILABLE, "the server is stopping").WithRetryAfter(time.Second)
	}
	e.running.Add(1)
	return nil
}

// release gives back a reservation that was not used.
func (e *executor) release() { e.running.Done() }

// launch executes a stored run, for which there is a reservation. The run is detached
// from the request that started it.
func (e *executor) launch(ctx context.Context, scope postgres.Scope, r Run, req engine.Request) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	l := newLiveRun(scope, r, firstAttempt, cancel)
	l.journal, l.lease, l.leased, l.reserved = e.journal, e.cfg.Lease, r.CreateTime, e.cfg.Block
	// The first event has the run's time, so that it is the same when the sweeper has to
	// write it.
	l.append(started(r), r.CreateTime)
	e.runs.addExecuted(l)
	e.writes.wake()
	go func() {
		defer e.running.Done()
		defer cancel(nil)
		e.execute(ctx, l, req)
	}()
}

// drain refuses new runs, and waits for those that run. After the grace period it
// interrupts them, and waits until they have stopped.
func (e *executor) drain() {
	e.mu.Lock()
	e.stopping = true
	e.mu.Unlock()
	done := make(chan struct{})
	go func() { // ends before drain returns, which receives from done in any case
		e.running.Wait()
		close(done)
	}()
	grace := e.clock.NewTimer(e.cfg.Grace)
	defer grace.Stop()
	select {
	case <-done:
		return
	case <-grace.C():
	}
	e.runs.cancelAll(errInterrupted)
	<-done
}

func (e *executor) execute(ctx context.Context, l *liveRun, req engine.Request) {
	limited, cancel := context.WithTimeout(ctx, e.cfg.Deadline)
	defer cancel()
	out, err := e.answer(limited, l, req)
	if errors.Is(context.Cause(ctx), errLost) {
		return // the process that owns the run now ends it, and counts its usage
	}
	end := ending{state: chatv1.Run_COMPLETED, message: l.answer.message(l.run.MessageID, out)}
	if err != nil {
		end.state = stateOf(context.Cause(ctx))
	}
	if end.state == chatv1.Run_FAILED {
		e.log.WarnContext(ctx, "a run failed", "run", l.run.ID, "error", err)
		end.problem = problem(fault.From(err))
	}
	e.usage.add(ctx, end.message)
	l.end(end, 0, e.clock.Now())
	e.writes.wake()
}

// stateOf returns the state in which a run ends after an error. cause is the cause with
// which its context was canceled, or nil.
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

// answer reads the conversation and calls the engine. A panic ends the run, not the
// process.
func (e *executor) answer(ctx context.Context, l *liveRun, req engine.Request) (out engine.Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Wrap(fmt.Errorf("panic: %v", p), faultv1.Reason_REASON_INTERNAL, "something went wrong")
		}
	}()
	history, err := e.history.History(ctx, l.scope, l.run.ConversationID)
	if err != nil {
		return out, err
	}
	for _, message := range history {
		if message.GetContent() == "" {
			continue // the answer of a run that ended before it wrote anything
		}
		role := engine.RoleUser
		if message.GetRole() == chatv1.Message_ASSISTANT {
			role = engine.RoleAssistant
		}
		req.History = append(req.History, engine.Turn{Role: role, Content: message.GetContent()})
	}
	return e.engine.Run(ctx, req, emitter{e, l})
}

// emitter appends the engine's events to a run's log.
type emitter struct {
	executor *executor
	live     *liveRun
}

// Emit implements [engine.Emitter]. It waits neither for the database nor for readers.
func (e emitter) Emit(_ context.Context, event engine.Event) error {
	out, err := convert(event)
	if err != nil {
		return err
	}
	// With half a block left, readers would soon have to wait for the next reservation.
	if e.live.append(out, e.executor.clock.Now()) < e.executor.cfg.Block/2 {
		e.executor.writes.wakeNow()
	} else {
		e.executor.writes.wake()
	}
	return nil
}
