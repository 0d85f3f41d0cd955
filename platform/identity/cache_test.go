package identity

import (
	"strconv"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// The cache has a fixed size, and keeps the newest tokens.
func TestVerified_ManyTokens_KeepsTheNewest(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC))
	v := newVerified[int](clk)
	const tokens = 5 * verifiedEntries
	for n := range tokens {
		v.put(strconv.Itoa(n), n, clk.Now().Add(time.Hour))
	}
	if n := v.entries.Len(); n != verifiedEntries {
		t.Errorf("%d of %d tokens are cached, want %d", n, tokens, verifiedEntries)
	}
	if n, ok := v.get(strconv.Itoa(tokens - 1)); !ok || n != tokens-1 {
		t.Errorf("the newest token is %d, %t", n, ok)
	}
	if _, ok := v.get("0"); ok {
		t.Error("the oldest token is cached")
	}
}
