package run

import (
	"context"
	"errors"
	"testing"
)

func TestGates_Enter_BoundsTheCallersOfAKey(t *testing.T) {
	t.Parallel()
	var g gates
	var leaves []func()
	for range startsAtOnce {
		leave, err := g.enter(t.Context(), "key")
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	left := errors.New("the caller left")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(left)
	if _, err := g.enter(ctx, "key"); !errors.Is(err, left) {
		t.Errorf("one more than allowed: %v", err)
	}
	other, err := g.enter(t.Context(), "another key")
	if err != nil {
		t.Errorf("another key: %v", err)
	}
	other()
	entered := make(chan error)
	go func() {
		leave, err := g.enter(t.Context(), "key")
		if err == nil {
			leave()
		}
		entered <- err
	}()
	for _, leave := range leaves {
		leave()
	}
	if err := <-entered; err != nil {
		t.Errorf("after others have left: %v", err)
	}
	if len(g.held) != 0 {
		t.Errorf("%d gates are kept", len(g.held))
	}
}
