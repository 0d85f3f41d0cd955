// Package clock provides the time.
//
// All code that depends on time uses a Clock: token lifetimes, leases, backoff, caches.
// Programs use System. A test uses a Fake and advances it, so the test does not sleep and
// does not depend on the load of the machine. No other package calls time.Now, time.After
// or time.NewTimer; the linter checks this.
//
// A timer is an interface too:
//
//	timer := clk.NewTimer(time.Minute)
//	defer timer.Stop()
//	select {
//	case <-timer.C():
//	case <-ctx.Done():
//	}
package clock

import (
	"context"
	"time"
)

// Clock returns the time and creates timers.
type Clock interface {
	// Now returns the current time, in UTC.
	Now() time.Time
	// NewTimer returns a timer that fires once, d from now.
	NewTimer(d time.Duration) Timer
	// After is NewTimer for waits that are never stopped early.
	After(d time.Duration) <-chan time.Time
}

// Timer fires once on C, unless it is stopped before.
type Timer interface {
	// C delivers the time at which the timer fired.
	C() <-chan time.Time
	// Stop stops the timer, and reports whether the timer had not fired yet.
	Stop() bool
	// Reset makes the timer fire d from now, whether it has fired before or not. It
	// discards a value in C that was not received yet.
	Reset(d time.Duration) bool
}

// System returns the clock of the machine.
func System() Clock { return system{} }

type system struct{}

func (system) Now() time.Time                         { return time.Now().UTC() }
func (system) NewTimer(d time.Duration) Timer         { return systemTimer{time.NewTimer(d)} }
func (system) After(d time.Duration) <-chan time.Time { return time.After(d) }

type systemTimer struct{ timer *time.Timer }

func (t systemTimer) C() <-chan time.Time        { return t.timer.C }
func (t systemTimer) Stop() bool                 { return t.timer.Stop() }
func (t systemTimer) Reset(d time.Duration) bool { return t.timer.Reset(d) }

// Stamp returns the current time with the precision of the database, microseconds. So a
// time in a response equals the time that is read from the database later. Use Now to
// measure durations, because its monotonic clock is independent of changes of the time.
func Stamp(c Clock) time.Time { return c.Now().Truncate(time.Microsecond) }

// Sleep waits for d. When ctx ends before, it returns the error of ctx.
func Sleep(ctx context.Context, c Clock, d time.Duration) error {
	timer := c.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
