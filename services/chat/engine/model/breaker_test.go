package model_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
)

// slow is a model that fails at first. Later it sends one word at once and ends on a signal.
type slow struct {
	fails int
	sent  chan struct{} // a word was sent
	next  chan error    // how the answer ends
}

func (*slow) Name() string { return "openai/slow" }

func (s *slow) Stream(_ context.Context, _ model.Request, emit func(model.Delta) error) (model.Result, error) {
	if s.fails--; s.fails >= 0 {
		return model.Result{}, down()
	}
	if err := emit(model.Delta{Text: "Well"}); err != nil {
		return model.Result{}, err
	}
	s.sent <- struct{}{}
	return model.Result{}, <-s.next
}

// A whole answer may take a minute, so the first token closes the breaker.
func TestBreaker_FirstToken_Closes(t *testing.T) {
	t.Parallel()
	fake := clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	breaker := model.NewBreaker("openai", 1, time.Minute, fake)
	m := &slow{fails: 1, sent: make(chan struct{}), next: make(chan error)}
	guarded := model.WithBreaker(m, breaker)
	if _, err := guarded.Stream(t.Context(), model.Request{}, ignore); err == nil || !breaker.Open() {
		t.Fatalf("open %v after %v", breaker.Open(), err)
	}
	fake.Advance(time.Minute)
	ended := make(chan error, 2)
	for range 2 { // the probe, and a call during the answer to the probe
		go func() {
			_, err := guarded.Stream(t.Context(), model.Request{}, ignore)
			ended <- err
		}()
		select {
		case <-m.sent:
		case err := <-ended:
			t.Fatalf("a call after the provider has responded: %v", err)
		}
		if breaker.Open() {
			t.Error("the breaker is open after a token")
		}
	}
	for range 2 {
		m.next <- nil
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// A call started before the provider recovered, and fails late. Its failure does not count.
func TestBreaker_OlderCallFails_StaysClosed(t *testing.T) {
	t.Parallel()
	fake := clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	breaker := model.NewBreaker("openai", 1, time.Minute, fake)
	old := &slow{sent: make(chan struct{}), next: make(chan error)}
	ended := make(chan error, 1)
	go func() {
		_, err := model.WithBreaker(old, breaker).Stream(t.Context(), model.Request{}, ignore)
		ended <- err
	}()
	<-old.sent
	m := model.WithBreaker(&scripted{outcomes: []outcome{{err: down()}, {text: "fine"}}}, breaker)
	_, _ = m.Stream(t.Context(), model.Request{}, ignore)
	fake.Advance(time.Minute)
	if _, err := m.Stream(t.Context(), model.Request{}, ignore); err != nil || breaker.Open() {
		t.Fatalf("open %v after %v", breaker.Open(), err)
	}
	old.next <- down()
	if err := <-ended; !fault.Is(err, unavailable) || breaker.Open() {
		t.Errorf("open %v after %v", breaker.Open(), err)
	}
}
