package run

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine"
)

// emitter puts the engine's events into a run's log.
type emitter struct {
	manager *Manager
	live    *live
}

// Emit implements [engine.Emitter]. It never waits: not for the database, and
// not for readers.
func (e emitter) Emit(_ context.Context, event engine.Event) error {
	out, err := convert(event)
	if err != nil {
		return err
	}
	e.manager.emit(e.live, out)
	return nil
}

func (m *Manager) emit(l *live, event *chatv1.RunEvent) {
	// Near the end of the reservation, half a block before readers would have to wait.
	if l.append(event, m.clock.Now()) < m.cfg.Block/2 {
		m.hurry()
		return
	}
	m.touch()
}

func started(r Run) *chatv1.RunEvent {
	return &chatv1.RunEvent{Event: &chatv1.RunEvent_RunStarted{RunStarted: &chatv1.RunStarted{Run: encode(r)}}}
}

// launch executes a stored run, for which there is a reservation, detached
// from the request that started it.
func (m *Manager) launch(ctx context.Context, scope postgres.Scope, r Run, req engine.Request) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	l := newLive(scope, r, firstAttempt, cancel)
	l.journal, l.lease, l.leased, l.reserved = m.journal, m.cfg.Lease, r.CreateTime, m.cfg.Block
	// The first event has the run's time, so that it reads the same when the sweep has
	// to write it.
	l.append(started(r), r.CreateTime)
	m.add(l, true)
	m.touch()
	go func() {
		defer m.executors.Done()
		defer cancel(nil)
		m.execute(ctx, l, req)
	}()
}

func (m *Manager) execute(ctx context.Context, l *live, req engine.Request) {
	limited, cancel := context.WithTimeout(ctx, m.cfg.Deadline)
	defer cancel()
	out, err := m.answer(limited, l, req)
	if errors.Is(context.Cause(ctx), errLost) {
		return // whoever has the run now ends it, and counts it
	}
	e := ending{state: chatv1.Run_COMPLETED, message: l.answer.message(l.run.MessageID, out)}
	if err != nil {
		e.state = stateOf(context.Cause(ctx))
	}
	if e.state == chatv1.Run_FAILED {
		m.log.WarnContext(ctx, "a run failed", "run", l.run.ID, "error", err)
		e.problem = problem(fault.From(err))
	}
	m.settle(ctx, e)
	l.end(e, 0, m.clock.Now())
	m.touch()
}

// answer reads the conversation and has the engine answer it. A panic ends the
// run, not the process.
func (m *Manager) answer(ctx context.Context, l *live, req engine.Request) (out engine.Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Wrap(fmt.Errorf("panic: %v", p), faultv1.Reason_REASON_INTERNAL, "something went wrong")
		}
	}()
	history, err := m.conversations.History(ctx, l.scope, l.run.ConversationID)
	if err != nil {
		return out, err
	}
	for _, message := range history {
		if message.GetContent() == "" {
			continue // a run that ended before it wrote anything
		}
		role := engine.RoleUser
		if message.GetRole() == chatv1.Message_ASSISTANT {
			role = engine.RoleAssistant
		}
		req.History = append(req.History, engine.Turn{Role: role, Content: message.GetContent()})
	}
	return m.engine.Run(ctx, req, emitter{m, l})
}

// settle counts what a run cost, however it ended.
func (m *Manager) settle(ctx context.Context, e ending) {
	usage, model := e.message.GetUsage(), attribute.String("gen_ai.request.model", e.message.GetModel())
	m.tokens.Add(ctx, int64(usage.GetInputTokens()), metric.WithAttributes(model, attribute.String("gen_ai.token.type", "input")))
	m.tokens.Add(ctx, int64(usage.GetOutputTokens()), metric.WithAttributes(model, attribute.String("gen_ai.token.type", "output")))
}
