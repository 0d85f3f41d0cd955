package clock

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Fake is a Clock whose time changes only when it is advanced or set. It is safe for
// concurrent use.
type Fake struct {
	mu     sync.Mutex
	now    time.Time
	timers []*fakeTimer
	// changed is closed and replaced whenever a timer is set. WaitForTimers waits for
	// that.
	changed chan struct{}
}

// NewFake returns a clock with the time t.
func NewFake(t time.Time) *Fake {
	return &Fake{now: t.UTC(), changed: make(chan struct{})}
}

// Now returns the time of the clock.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// NewTimer returns a timer that fires when the clock is advanced by d or more.
func (f *Fake) NewTimer(d time.Duration) Timer {
	timer := &fakeTimer{clock: f, c: make(chan time.Time, 1)}
	timer.Reset(d)
	return timer
}

// After is NewTimer for waits that are never stopped early.
func (f *Fake) After(d time.Duration) <-chan time.Time { return f.NewTimer(d).C() }

// Advance moves the clock by d and fires the timers that are due, in order.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.setLocked(f.now.Add(d))
}

// Set moves the clock to t. The time may be earlier than the present one, because the
// clock of a machine can also step back. Then no timer fires.
func (f *Fake) Set(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.setLocked(t.UTC())
}

// WaitForTimers waits until at least n timers are pending. A test calls it before it
// advances the clock, to be sure that the tested code waits for its timer.
func (f *Fake) WaitForTimers(ctx context.Context, n int) error {
	for {
		f.mu.Lock()
		pending, changed := len(f.timers), f.changed
		f.mu.Unlock()
		if pending >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *Fake) setLocked(t time.Time) {
	f.now = t
	slices.SortStableFunc(f.timers, func(a, b *fakeTimer) int { return a.at.Compare(b.at) })
	due := 0
	for due < len(f.timers) && !f.timers[due].at.After(t) {
		f.timers[due].c <- f.timers[due].at
		due++
	}
	f.timers = slices.Delete(f.timers, 0, due)
}

type fakeTimer struct {
	clock *Fake
	c     chan time.Time
	at    time.Time
}

func (t *fakeTimer) C() <-chan time.Time { return t.c }

func (t *fakeTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	return t.stopLocked()
}

func (t *fakeTimer) Reset(d time.Duration) bool {
	f := t.clock
	f.mu.Lock()
	defer f.mu.Unlock()
	active := t.stopLocked()
	t.at = f.now.Add(d)
	if d <= 0 {
		t.c <- t.at
		return active
	}
	f.timers = append(f.timers, t)
	close(f.changed)
	f.changed = make(chan struct{})
	return active
}

// stopLocked also drains the channel. Since Go 1.23 a stopped timer of the system
// delivers no old value, and the fake must behave in the same way.
func (t *fakeTimer) stopLocked() bool {
	select {
	case <-t.c:
	default:
	}
	i := slices.Index(t.clock.timers, t)
	if i < 0 {
		return false
	}
	t.clock.timers = slices.Delete(t.clock.timers, i, i+1)
	return true
}
