package openai_test

import (
	"context"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
	"github.com/gatehouse/gatehouse/services/chat/engine/provider/openai"
)

// A probe of one token detects that the provider has recovered, without a caller.
func TestWatch_ProviderRecovers_ClosesTheBreaker(t *testing.T) {
	t.Parallel()
	stub := modelstub.New(modelstub.Options{})
	stub.Enqueue(modelstub.Reply{Status: 503}, modelstub.Reply{Status: 503}, modelstub.Reply{Status: 503},
		modelstub.Reply{Text: []string{"pong"}}, modelstub.Reply{Text: []string{"fine"}})
	server := httptest.NewServer(stub)
	t.Cleanup(server.Close)
	fake := clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	provider, err := openai.New(openai.Options{
		BaseURL: server.URL + "/v1", Clock: fake, Tracer: noop.NewTracerProvider().Tracer(""),
		Retry: model.RetryPolicy{Tries: 1}, BreakerThreshold: 2, BreakerPause: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() { provider.Watch(ctx) })
	t.Cleanup(watch.Wait)
	t.Cleanup(cancel)
	m, err := provider.Model("m")
	if err != nil {
		t.Fatal(err)
	}
	call := func() error {
		_, err := m.Stream(ctx, model.Request{}, func(model.Delta) error { return nil })
		return err
	}
	for range 2 {
		if err := call(); !fault.Is(err, faultv1.Reason_REASON_PROVIDER_UNAVAILABLE) {
			t.Fatal(err)
		}
	}
	for probes, open := range []bool{true, true, false} { // the first probe fails too
		if provider.Degraded() != open {
			t.Fatalf("after %d probes: degraded %v", probes, !open)
		}
		if !open {
			break
		}
		if err := fake.WaitForTimers(ctx, 1); err != nil {
			t.Fatal(err)
		}
		if err := call(); !fault.Is(err, faultv1.Reason_REASON_PROVIDER_UNAVAILABLE) {
			t.Errorf("a call while the provider is down: %v", err)
		}
		fake.Advance(time.Hour / 5)
		waitFor(t, func() bool { return len(stub.Requests()) == 3+probes && (probes == 0 || !provider.Degraded()) })
	}
	if err := call(); err != nil {
		t.Errorf("a call after the provider has recovered: %v", err)
	}
	requests := stub.Requests()
	for _, probe := range requests[2:4] {
		if limit, ok := probe.Field("max_completion_tokens"); !ok || string(limit) != "1" {
			t.Errorf("the probe was %+v", probe)
		}
	}
	if len(requests) != 5 {
		t.Errorf("the provider got %d requests, want 2 that failed, 2 probes and 1 call", len(requests))
	}
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(20*time.Second), time.NewTicker(time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("the condition was not met in 20 s")
		}
	}
}
