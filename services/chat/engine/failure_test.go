package engine_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
)

func TestRun_Failure_EndsTheRunWithItsText(t *testing.T) {
	t.Parallel()

	t.Run("a broken stream keeps its text, with the text that was held back", func(t *testing.T) {
		t.Parallel()
		b := setup(t, searcher{}, engine.Budget{}, modelstub.Reply{Text: []string{"Half an answer [", "never"}, Break: modelstub.Reset, BreakAfter: 1})
		outcome, err := b.run(t.Context(), stubModel, "Leave?")
		if !fault.Is(err, faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM) || outcome.Content != "Half an answer [" {
			t.Fatalf("%+v, %v", outcome, err)
		}
		checkOutcome(t, b, outcome)
		if !outcome.Usage.Estimated || outcome.Usage.OutputTokens == 0 {
			t.Errorf("usage %+v", outcome.Usage)
		}
	})

	t.Run("a canceled run keeps its text", func(t *testing.T) {
		t.Parallel()
		hold := make(chan struct{})
		defer close(hold)
		b := setup(t, searcher{}, engine.Budget{}, modelstub.Reply{Text: []string{"Half", " never"}, Hold: hold, HoldAfter: 1})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b.out.each = func(event engine.Event) error {
			if _, ok := event.(engine.MessageDelta); ok {
				cancel()
			}
			return nil
		}
		outcome, err := b.run(ctx, stubModel, "Leave?")
		if !fault.Is(err, faultv1.Reason_REASON_CANCELLED) || outcome.Content != "Half" {
			t.Fatalf("%+v, %v", outcome, err)
		}
		checkOutcome(t, b, outcome)
	})

	t.Run("the time of a run is bounded", func(t *testing.T) {
		t.Parallel()
		hold := make(chan struct{})
		defer close(hold)
		b := setup(t, searcher{}, engine.Budget{Time: 50 * time.Millisecond}, modelstub.Reply{Text: []string{"x"}, Hold: hold})
		if _, err := b.run(t.Context(), stubModel, "Leave?"); !fault.Is(err, faultv1.Reason_REASON_DEADLINE_EXCEEDED) {
			t.Fatalf("error %v", err)
		}
	})

	t.Run("a search that fails ends the run", func(t *testing.T) {
		t.Parallel()
		b := setup(t, searcher{err: fault.New(faultv1.Reason_REASON_DATABASE_UNAVAILABLE, "The database is away.")}, engine.Budget{})
		_, err := b.run(t.Context(), engine.Assistant{}, "How much leave?")
		if !fault.Is(err, faultv1.Reason_REASON_DATABASE_UNAVAILABLE) || b.out.kinds() != "agent started finished" {
			t.Fatalf("%v, events %s", err, b.out.kinds())
		}
	})

	t.Run("another model takes over before the first word", func(t *testing.T) {
		t.Parallel()
		b := setup(t, searcher{}, engine.Budget{}, modelstub.Reply{Status: 500}, modelstub.Reply{Status: 500})
		outcome, err := b.run(t.Context(), engine.Assistant{Model: "openai/m", FallbackModels: []string{"local/extractive"}}, "How many days of leave do staff have?")
		if err != nil || outcome.Model != "local/extractive" || !slices.Contains(outcome.Flags, engine.FlagFallbackModel) || len(outcome.Citations) != 1 {
			t.Fatalf("%+v, %v", outcome, err)
		}
	})

	t.Run("invalid requests are refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t, searcher{}, engine.Budget{}, modelstub.Reply{})
		if _, err := b.run(t.Context(), engine.Assistant{Model: "nobody/x"}, "x"); !fault.Is(err, faultv1.Reason_REASON_MODEL_NOT_CONFIGURED) {
			t.Errorf("error %v", err)
		}
		if _, err := b.run(t.Context(), engine.Assistant{}); !fault.Is(err, faultv1.Reason_REASON_INVALID_ARGUMENT) {
			t.Errorf("error %v", err)
		}
		if _, err := b.run(t.Context(), stubModel, "x"); !fault.Is(err, faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM) {
			t.Errorf("an empty answer: error %v", err)
		}
	})

	t.Run("an emitter that fails ends the run", func(t *testing.T) {
		t.Parallel()
		stop := errors.New("stop")
		b := setup(t, searcher{}, engine.Budget{})
		b.out.each = func(engine.Event) error { return stop }
		if _, err := b.run(t.Context(), engine.Assistant{}, "x"); !errors.Is(err, stop) {
			t.Errorf("error %v", err)
		}
	})
}
