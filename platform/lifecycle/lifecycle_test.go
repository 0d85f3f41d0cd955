package lifecycle_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/platform/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal records events in order.
type journal struct {
	mu     sync.Mutex
	events []string
}

func (j *journal) add(event string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, event)
}

func TestRun_ContextEnds_StopsTheLastPartFirst(t *testing.T) {
	t.Parallel()
	var j journal
	ctx, cancel := context.WithCancel(t.Context())
	s := lifecycle.New(slog.New(slog.DiscardHandler))
	s.Defer("pool", func() { j.add("pool") })
	var up sync.WaitGroup
	for _, name := range []string{"service", "gateway"} {
		up.Add(1)
		s.Add(name, func(ctx context.Context) error {
			up.Done()
			<-ctx.Done()
			j.add(name)
			return ctx.Err()
		})
	}
	go func() { up.Wait(); cancel() }()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if want := []string{"gateway", "service", "pool"}; !slices.Equal(j.events, want) {
		t.Errorf("stopped in the order %v, want %v", j.events, want)
	}
}

func TestRun_OnePartFails_StopsAll(t *testing.T) {
	t.Parallel()
	var j journal
	s := lifecycle.New(slog.New(slog.DiscardHandler))
	s.Add("service", func(ctx context.Context) error { <-ctx.Done(); j.add("service"); return nil })
	s.Add("listener", func(context.Context) error { return errors.New("address in use") })
	err := s.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "listener") || !strings.Contains(err.Error(), "address in use") {
		t.Errorf("error %v does not name the failed part", err)
	}
	if !slices.Equal(j.events, []string{"service"}) {
		t.Errorf("the other part was not stopped: %v", j.events)
	}
}

func TestRun_PartEndsByItself_IsAnError(t *testing.T) {
	t.Parallel()
	s := lifecycle.New(slog.New(slog.DiscardHandler))
	s.Add("worker", func(context.Context) error { return nil })
	if err := s.Run(t.Context()); err == nil {
		t.Error("a part ended by itself, and Run returned no error")
	}
}

func TestUnwind_ClosesInReverseOrder(t *testing.T) {
	t.Parallel()
	var j journal
	s := lifecycle.New(slog.New(slog.DiscardHandler))
	s.Defer("first", func() { j.add("first") })
	s.Defer("second", func() { j.add("second") })
	s.Unwind()
	if !slices.Equal(j.events, []string{"second", "first"}) {
		t.Errorf("unwound as %v", j.events)
	}
}
