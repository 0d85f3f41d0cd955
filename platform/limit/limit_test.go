package limit_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse/gatehouse/platform/limit"
)

func TestAllow_BurstIsUsed_RefusesMore(t *testing.T) {
	t.Parallel()
	l, err := limit.New(limit.Quota{Name: "test", PerMinute: 1, Burst: 19})
	if err != nil {
		t.Fatal(err)
	}
	var allowed atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if d := l.Allow(t.Context(), "alice"); d.Allowed {
				allowed.Add(1)
			} else if d.RetryAfter <= 0 {
				t.Error("a refusal has no time to wait")
			}
		})
	}
	wg.Wait()
	if got := allowed.Load(); got != 20 {
		t.Errorf("allowed %d of 100 at once, want one and the burst of 19", got)
	}
	if !l.Allow(t.Context(), "bob").Allowed {
		t.Error("one key's requests count against another's")
	}
}

func TestHeaders_FollowTheIETFDraft(t *testing.T) {
	t.Parallel()
	l, err := limit.New(limit.Quota{Name: "read", PerMinute: 60, Burst: 9})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := l.PolicyHeader(), `"read";q=60;w=60`; got != want {
		t.Errorf("RateLimit-Policy %s, want %s", got, want)
	}
	d := l.Allow(t.Context(), "alice")
	if got, want := l.Header(d), `"read";r=9;t=1`; got != want {
		t.Errorf("RateLimit %s, want %s", got, want)
	}
}

func TestRefund_RequestIsNotCounted(t *testing.T) {
	t.Parallel()
	limiter, err := limit.New(limit.Quota{Name: "wrong", PerMinute: 1, Burst: 2})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if !limiter.Allow(t.Context(), "ada").Allowed {
			t.Fatal("refused, although every request was removed from the count")
		}
		limiter.Refund(t.Context(), "ada")
	}
	limiter.Refund(t.Context(), "ada") // there is no counted request
	allowed := 0
	for range 10 {
		if limiter.Allow(t.Context(), "ada").Allowed {
			allowed++
		}
	}
	if allowed != 3 {
		t.Errorf("allowed %d, want the one and a burst of two", allowed)
	}
}
