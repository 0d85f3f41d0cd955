// Package clock is where Gatehouse asks what time it is.
//
// Whatever depends on time takes a Clock: token lifetimes, leases, backoff,
// caches. Production hands it System; a test hands it a Fake and moves the time
// by hand, so it neither sleeps nor depends on how busy the machine is. No other
// package calls time.Now, time.After or time.NewTimer, and lint keeps it so.
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

// Clock tells the time and wakes at a time.
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
	// Stop keeps the timer from firing; it reports whether it came in time.
	Stop() bool
	// Reset makes the timer fire d from now, whatever it did before. A firing
	// that nobody received yet is taken back.
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

// Stamp returns the current time as the database keeps it, to the microsecond:
// what is answered now and what is read later are then the same. To measure how
// long something takes, ask Now, which keeps count past changes of the time.
func Stamp(c Clock) time.Time { return c.Now().Truncate(time.Microsecond) }

// Sleep waits for d, or until ctx ends, whose error it then returns.
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
