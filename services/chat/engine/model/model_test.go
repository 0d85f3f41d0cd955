package model_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
)

const (
	unavailable = faultv1.Reason_REASON_PROVIDER_UNAVAILABLE
	limited     = faultv1.Reason_REASON_PROVIDER_RATE_LIMITED
)

// outcome is what a scripted model does in one call.
type outcome struct {
	text string
	err  error
}

// scripted is a model that has the outcomes in order. It repeats the last one.
type scripted struct {
	name     string
	outcomes []outcome
	calls    int
}

func (s *scripted) Name() string { return s.name }

func (s *scripted) Stream(_ context.Context, _ model.Request, emit func(model.Delta) error) (model.Result, error) {
	o := s.outcomes[min(s.calls, len(s.outcomes)-1)]
	s.calls++
	result := model.Result{Model: s.name, Text: o.text, Usage: model.Usage{InputTokens: 1}}
	if o.text != "" {
		if err := emit(model.Delta{Text: o.text}); err != nil {
			return result, err
		}
	}
	return result, o.err
}

func down() error { return fault.New(unavailable, "down") }

func ignore(model.Delta) error { return nil }

func TestWithRetry_RetriesBeforeVisibleText(t *testing.T) {
	t.Parallel()
	policy := model.RetryPolicy{Tries: 3, Base: time.Second, MaxWait: 10 * time.Second}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

	t.Run("it waits as long as the provider requests, and adds up the usage", func(t *testing.T) {
		t.Parallel()
		fake := clock.NewFake(start)
		m := &scripted{outcomes: []outcome{{err: fault.New(limited, "slow").WithRetryAfter(7 * time.Second)}, {text: "fine"}}}
		type answer struct {
			result model.Result
			err    error
		}
		answers := make(chan answer, 1)
		go func() {
			result, err := model.WithRetry(m, policy, fake).Stream(t.Context(), model.Request{}, ignore)
			answers <- answer{result, err}
		}()
		if err := fake.WaitForTimers(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		fake.Advance(6 * time.Second)
		if len(answers) != 0 {
			t.Fatal("did not wait")
		}
		fake.Advance(time.Second)
		got := <-answers
		if got.err != nil || got.result.Text != "fine" || got.result.Usage.InputTokens != 2 {
			t.Errorf("got %+v", got)
		}
	})

	cases := map[string]struct {
		outcomes []outcome
		calls    int
	}{
		"not after visible text":      {[]outcome{{text: "a", err: down()}}, 1},
		"not a rejected request":      {[]outcome{{err: fault.New(faultv1.Reason_REASON_PROVIDER_REJECTED, "no")}}, 1},
		"not a permanent failure":     {[]outcome{{err: fault.Wrap(model.ErrPermanent, limited, "spent")}}, 1},
		"not beyond the longest wait": {[]outcome{{err: fault.New(limited, "later").WithRetryAfter(time.Minute)}}, 1},
		"not after a success":         {[]outcome{{text: "a"}}, 1},
		"not an error of the emit":    {[]outcome{{err: errors.New("x")}}, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &scripted{outcomes: c.outcomes}
			_, err := model.WithRetry(m, policy, clock.NewFake(start)).Stream(t.Context(), model.Request{}, ignore)
			if !errors.Is(err, c.outcomes[0].err) || m.calls != c.calls {
				t.Errorf("%d calls, error %v", m.calls, err)
			}
		})
	}

	t.Run("a canceled wait ends at once", func(t *testing.T) {
		t.Parallel()
		fake := clock.NewFake(start)
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := model.WithRetry(&scripted{outcomes: []outcome{{err: down()}}}, policy, fake).Stream(ctx, model.Request{}, ignore)
			failed <- err
		}()
		if err := fake.WaitForTimers(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-failed; !fault.Is(err, faultv1.Reason_REASON_CANCELLED) {
			t.Errorf("error %v", err)
		}
	})
}

func TestBreaker_OpensProbesAndCloses(t *testing.T) {
	t.Parallel()
	fake := clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	breaker := model.NewBreaker("openai", 2, time.Minute, fake)
	m := &scripted{outcomes: []outcome{{err: down()}, {err: down()}, {err: down()}, {text: "fine"}}}
	guarded := model.WithBreaker(m, breaker)
	call := func() error {
		_, err := guarded.Stream(t.Context(), model.Request{}, ignore)
		return err
	}
	steps := []struct {
		name    string
		advance time.Duration
		calls   int
		fails   bool
		open    bool
	}{
		{"first failure", 0, 1, true, false},
		{"second failure opens", 0, 2, true, true},
		{"refused while open", 30 * time.Second, 2, true, true},
		{"probe fails, opens again", 30 * time.Second, 3, true, true},
		{"still refused", 59 * time.Second, 3, true, true},
		{"probe succeeds, closes", time.Second, 4, false, false},
		{"all pass", 0, 5, false, false},
	}
	for _, step := range steps {
		fake.Advance(step.advance)
		err := call()
		if (err != nil) != step.fails || m.calls != step.calls || breaker.Open() != step.open {
			t.Fatalf("%s: error %v, %d calls, open %v", step.name, err, m.calls, breaker.Open())
		}
		if err != nil && !fault.Is(err, unavailable) {
			t.Fatalf("%s: error %v", step.name, err)
		}
	}
}

// panicking is a model that panics.
type panicking struct{ model.Model }

func (panicking) Stream(context.Context, model.Request, func(model.Delta) error) (model.Result, error) {
	panic("broken")
}

func TestBreaker_ProbePanics_ProbesAgain(t *testing.T) {
	t.Parallel()
	fake := clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	breaker := model.NewBreaker("openai", 1, time.Minute, fake)
	m := &scripted{outcomes: []outcome{{err: down()}, {text: "fine"}}}
	guarded := model.WithBreaker(m, breaker)
	_, err := guarded.Stream(t.Context(), model.Request{}, ignore)
	if !breaker.Open() {
		t.Fatalf("closed after %v", err)
	}
	fake.Advance(time.Minute)
	func() {
		defer func() { _ = recover() }()
		_, _ = model.WithBreaker(panicking{m}, breaker).Stream(t.Context(), model.Request{}, ignore)
	}()
	if _, err := guarded.Stream(t.Context(), model.Request{}, ignore); err != nil || breaker.Open() {
		t.Errorf("after a probe that panicked: %v, open %v", err, breaker.Open())
	}
}

func TestWithFallback_OnlyBeforeTheFirstToken(t *testing.T) {
	t.Parallel()
	good := func() *scripted { return &scripted{name: "b/good", outcomes: []outcome{{text: "fine"}}} }

	t.Run("another model takes over before the first token, and the result reports it", func(t *testing.T) {
		t.Parallel()
		m := model.WithFallback(&scripted{name: "a/bad", outcomes: []outcome{{err: down()}}}, good())
		result, err := m.Stream(t.Context(), model.Request{}, ignore)
		if err != nil || !result.Fallback || result.Model != "b/good" || result.Usage.InputTokens != 2 {
			t.Errorf("result %+v, %v", result, err)
		}
	})

	t.Run("no model takes over after the first token", func(t *testing.T) {
		t.Parallel()
		second := good()
		m := model.WithFallback(&scripted{outcomes: []outcome{{text: "a", err: down()}}}, second)
		result, err := m.Stream(t.Context(), model.Request{}, ignore)
		if err == nil || result.Fallback || second.calls != 0 {
			t.Errorf("result %+v, %v", result, err)
		}
	})
}

func TestRegistry_FindsByFullName(t *testing.T) {
	t.Parallel()
	local := model.ProviderFunc(func(name string) (model.Model, error) {
		return &scripted{name: "local/" + name}, nil
	})
	registry, err := model.NewRegistry("local/extractive", map[string]model.Provider{"local": local})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"": "local/extractive", "local/a/b": "local/a/b"} {
		m, err := registry.Model(name)
		if err != nil || m.Name() != want {
			t.Errorf("%q: %v, %v", name, m, err)
		}
	}
	for _, name := range []string{"local", "/x", "local/", "nobody/x"} {
		if _, err := registry.Model(name); !fault.Is(err, faultv1.Reason_REASON_MODEL_NOT_CONFIGURED) {
			t.Errorf("%q: error %v", name, err)
		}
	}
	if _, err := registry.Model("", "nobody/x"); err == nil {
		t.Error("an unknown fallback is accepted")
	}
	if _, err := model.NewRegistry("openai/x", map[string]model.Provider{"local": local}); err == nil {
		t.Error("an unknown default is accepted")
	}
}

func TestWithTrace_RecordsNoText(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	tracer := trace.NewTracerProvider(trace.WithSpanProcessor(recorder)).Tracer("")
	temperature := 0.5
	m := model.WithTrace(&scripted{name: "openai/org/m", outcomes: []outcome{{text: "secret", err: down()}}}, tracer)
	if _, err := m.Stream(t.Context(), model.Request{Temperature: &temperature, MaxTokens: 9}, ignore); err == nil {
		t.Fatal("no error")
	}
	spans := recorder.Ended()
	if len(spans) != 1 || spans[0].Name() != "chat org/m" || len(spans[0].Events()) != 1 || spans[0].Status().Code != codes.Error {
		t.Fatalf("spans %+v", spans)
	}
	got := make(map[string]string)
	for _, attribute := range spans[0].Attributes() {
		got[string(attribute.Key)] = attribute.Value.String()
	}
	for key, want := range map[string]string{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "org/m", "gen_ai.request.temperature": "0.5",
		"gen_ai.request.max_tokens": "9", "gen_ai.usage.input_tokens": "1", "error.type": "PROVIDER_UNAVAILABLE",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	for key, value := range got {
		if strings.Contains(value, "secret") {
			t.Errorf("%s contains the answer", key)
		}
	}
}

func TestWrappers_CallFails_KeepTheResult(t *testing.T) {
	t.Parallel()
	inner := &scripted{name: "a/b", outcomes: []outcome{{text: "part", err: down()}}}
	m := model.WithDeadline(model.WithTrace(inner, noop.NewTracerProvider().Tracer("")), time.Minute)
	result, err := m.Stream(t.Context(), model.Request{}, ignore)
	if !fault.Is(err, unavailable) || result.Text != "part" || m.Name() != "a/b" {
		t.Errorf("result %+v, %v", result, err)
	}
}
