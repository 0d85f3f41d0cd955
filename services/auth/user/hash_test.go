package user

import (
	"context"
	"errors"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func TestFullQueueIsOverload(t *testing.T) {
	t.Parallel()
	h := NewHasher()
	h.waiting.Store(queueDepth)
	_, err := h.Verify(t.Context(), "", "x")
	if !fault.Is(err, faultv1.Reason_REASON_OVERLOADED) || fault.From(err).RetryAfter() == 0 {
		t.Errorf("got %v", err)
	}
	if h.waiting.Load() != queueDepth {
		t.Error("the refused call still counts as waiting")
	}
}

func TestWaitingIsBounded(t *testing.T) {
	t.Parallel()
	h := NewHasher()
	for range cap(h.slots) {
		h.slots <- struct{}{}
	}
	if _, err := h.Hash(t.Context(), "x"); !fault.Is(err, faultv1.Reason_REASON_OVERLOADED) {
		t.Errorf("waiting too long was answered %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Hash(ended, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that left was answered %v", err)
	}
}
