package clock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func fired(c <-chan time.Time) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestFake_Advanced_FiresTheTimersThatAreDue(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(start)
	short, long := clk.NewTimer(time.Second), clk.NewTimer(time.Minute)

	clk.Advance(999 * time.Millisecond)
	if fired(short.C()) {
		t.Fatal("the timer fired a millisecond early")
	}
	clk.Advance(time.Millisecond)
	if !fired(short.C()) || fired(long.C()) {
		t.Fatal("want only the short timer to fire")
	}
	if short.Stop() {
		t.Error("Stop reports true for a timer that has fired")
	}
	if got, want := clk.Now(), start.Add(time.Second); !got.Equal(want) {
		t.Errorf("Now() = %v, want %v", got, want)
	}
}

func TestFake_TimerStoppedOrReset_BehavesLikeASystemTimer(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(start)
	timer := clk.NewTimer(time.Second)
	if !timer.Stop() {
		t.Error("Stop reports false for a pending timer")
	}
	clk.Advance(time.Hour)
	if fired(timer.C()) {
		t.Fatal("a stopped timer fired")
	}
	if timer.Reset(time.Second) {
		t.Error("Reset reports true for a stopped timer")
	}
	clk.Advance(time.Second)
	timer.Reset(time.Second)
	if fired(timer.C()) {
		t.Error("Reset left a stale firing in the channel")
	}
	if !fired(clk.After(0)) {
		t.Error("After(0) did not fire at once")
	}
}

func TestFake_SetBack_FiresNothing(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(start)
	timer := clk.NewTimer(time.Second)
	clk.Set(start.Add(-time.Hour))
	if fired(timer.C()) {
		t.Error("a timer fired although the time went back")
	}
}

func TestSleep_EndsWithTheTimeOrTheContext(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(start)
	woke := make(chan error, 1)
	go func() { woke <- clock.Sleep(t.Context(), clk, time.Minute) }()
	if err := clk.WaitForTimers(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	clk.Advance(time.Minute)
	if err := <-woke; err != nil {
		t.Errorf("Sleep = %v after its time", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := clock.Sleep(ctx, clk, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("Sleep = %v, want context.Canceled", err)
	}
	if err := clk.WaitForTimers(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitForTimers = %v, want context.Canceled", err)
	}
}

func TestSystem_ReturnsUTCAndWorkingTimers(t *testing.T) {
	t.Parallel()
	clk := clock.System()
	if clk.Now().Location() != time.UTC {
		t.Error("the system clock is not in UTC")
	}
	timer := clk.NewTimer(time.Hour)
	if !timer.Stop() || timer.Reset(time.Hour) || !timer.Stop() {
		t.Error("a system timer does not stop and reset as it should")
	}
	<-clk.After(time.Nanosecond)
	if err := clock.Sleep(t.Context(), clk, time.Nanosecond); err != nil {
		t.Error(err)
	}
}
