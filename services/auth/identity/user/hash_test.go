package user

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func TestS10FullQueueIsOverloaded(t *testing.T) {
	t.Parallel()
	h := NewHasher(time.Second)
	h.waiting.Store(queueDepth)
	_, err := h.Verify(t.Context(), "", "x")
	if !fault.Is(err, faultv1.Reason_REASON_OVERLOADED) || fault.From(err).RetryAfter() == 0 {
		t.Errorf("got %v", err)
	}
	if h.waiting.Load() != queueDepth {
		t.Error("the refused call still counts as waiting")
	}
}

func TestS10WaitingTimeIsLimited(t *testing.T) {
	t.Parallel()
	h := NewHasher(time.Second)
	for range cap(h.slots) {
		h.slots <- struct{}{}
	}
	if _, err := h.Hash(t.Context(), "x"); !fault.Is(err, faultv1.Reason_REASON_OVERLOADED) {
		t.Errorf("waiting too long returned %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Hash(ended, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call returned %v", err)
	}
}

// S9: an unknown account causes the same work for the same time.
func TestS9UnknownAccountCostsTheSame(t *testing.T) {
	t.Parallel()
	h := NewHasher(time.Second)
	hash, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if len(h.dummy) != len(hash) || !strings.HasPrefix(h.dummy, prefix()) {
		t.Errorf("the hash of no account is %s, others are %s", h.dummy, hash)
	}
	if _, _, err := decode(h.dummy); err != nil {
		t.Error(err)
	}
	// It waits in the same queue.
	h.waiting.Store(queueDepth)
	if _, err := h.Verify(t.Context(), "", "x"); !fault.Is(err, faultv1.Reason_REASON_OVERLOADED) {
		t.Errorf("no account: %v", err)
	}
}

// S10: each hash uses 19 MiB. As many run at once as leave one processor free.
func TestS10ConcurrentHashesAreLimited(t *testing.T) {
	t.Parallel()
	if h := NewHasher(time.Second); cap(h.slots) != max(1, runtime.GOMAXPROCS(0)-1) || memoryKiB > 19<<10+512 {
		t.Errorf("%d hashes of %d KiB at once", cap(h.slots), memoryKiB)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	h := NewHasher(time.Second)
	hash, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		hash, password string
		want           bool
	}{
		"the password":     {hash, "correct horse", true},
		"another password": {hash, "battery staple", false},
		"no account":       {"", "correct horse", false},
	} {
		if got, err := h.Verify(t.Context(), tc.hash, tc.password); err != nil || got != tc.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
