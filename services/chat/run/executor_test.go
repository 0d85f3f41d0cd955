package run

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine"
)

// engineFunc is an engine.
type engineFunc func(ctx context.Context, req engine.Request, out engine.Emitter) (engine.Outcome, error)

func (f engineFunc) Run(ctx context.Context, req engine.Request, out engine.Emitter) (engine.Outcome, error) {
	return f(ctx, req, out)
}

// noHistory is a conversation without messages.
type noHistory struct{}

func (noHistory) History(context.Context, postgres.Scope, string) ([]*chatv1.Message, error) {
	return nil, nil
}

func newTestExecutor(t *testing.T, eng engineFunc) (*executor, *liveRuns, *clock.Fake) {
	t.Helper()
	runs, clk := newLiveRuns(), newFakeClock()
	e := newExecutor(testConfig(), Deps{Engine: eng, Clock: clk, Log: discard()}, runs, ignore{}, nil, testUsage(t))
	e.history = noHistory{}
	return e, runs, clk
}

// ignore is a waker that does nothing.
type ignore struct{}

func (ignore) wake() {}

func (ignore) wakeNow() {}

// launchOne executes a run and returns its log.
func launchOne(t *testing.T, e *executor, runs *liveRuns) *liveRun {
	t.Helper()
	if err := e.reserve(); err != nil {
		t.Fatal(err)
	}
	r := Run{ID: id.New(), CreateTime: e.clock.Now()}
	e.launch(t.Context(), postgres.Scope{OrganizationID: id.New(), UserID: id.New()}, r, engine.Request{})
	return runs.find(r.ID)
}

func TestExecutor_Drain_WaitsAndRefusesNewRuns(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	e, runs, clk := newTestExecutor(t, func(context.Context, engine.Request, engine.Emitter) (engine.Outcome, error) {
		<-release
		return engine.Outcome{}, nil
	})
	l := launchOne(t, e, runs)
	drained := make(chan struct{})
	go func() {
		e.drain()
		close(drained)
	}()
	if err := clk.WaitForTimers(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if got := fault.ReasonOf(e.reserve()); got != faultv1.Reason_REASON_UNAVAILABLE {
		t.Errorf("a new run is refused with %v, want UNAVAILABLE", got)
	}
	close(release)
	<-drained
	if l.ending == nil || l.ending.state != chatv1.Run_COMPLETED {
		t.Errorf("the run ended as %+v, want COMPLETED", l.ending)
	}
}

func TestExecutor_GraceIsOver_InterruptsRuns(t *testing.T) {
	t.Parallel()
	e, runs, clk := newTestExecutor(t, func(ctx context.Context, _ engine.Request, _ engine.Emitter) (engine.Outcome, error) {
		<-ctx.Done()
		return engine.Outcome{}, context.Cause(ctx)
	})
	l := launchOne(t, e, runs)
	drained := make(chan struct{})
	go func() {
		e.drain()
		close(drained)
	}()
	if err := clk.WaitForTimers(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	clk.Advance(time.Minute)
	<-drained
	if l.ending == nil || l.ending.state != chatv1.Run_INTERRUPTED {
		t.Errorf("the run ended as %+v, want INTERRUPTED", l.ending)
	}
}

func TestExecutor_EnginePanics_OnlyTheRunFails(t *testing.T) {
	t.Parallel()
	e, runs, _ := newTestExecutor(t, func(context.Context, engine.Request, engine.Emitter) (engine.Outcome, error) {
		panic("out of order")
	})
	l := launchOne(t, e, runs)
	e.drain()
	if l.ending == nil || l.ending.state != chatv1.Run_FAILED || l.ending.problem.GetReason() != "INTERNAL" {
		t.Errorf("the run ended as %+v, want FAILED with INTERNAL", l.ending)
	}
}

// The process that owns the run now ends it.
func TestExecutor_RunIsLost_IsNotEnded(t *testing.T) {
	t.Parallel()
	e, runs, _ := newTestExecutor(t, func(ctx context.Context, _ engine.Request, _ engine.Emitter) (engine.Outcome, error) {
		<-ctx.Done()
		return engine.Outcome{}, context.Cause(ctx)
	})
	l := launchOne(t, e, runs)
	l.lose()
	e.drain()
	if l.ending != nil || len(l.events) != 1 {
		t.Errorf("the run has the end %+v and %d events, want run.started alone", l.ending, len(l.events))
	}
}
