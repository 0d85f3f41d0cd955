package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

const (
	// besideEvery is how often each of the steady readers asks.
	besideEvery = 20 * time.Millisecond
	// watchEvery is how often the memory is read.
	watchEvery = 5 * time.Millisecond
)

// measureSignIn has many people sign in at once, and looks at the product's memory
// and at how others fare beside them.
func measureSignIn(ctx context.Context, b *bench) error {
	quiet, err := b.beside(ctx, func(ctx context.Context) error { return clock.Sleep(ctx, clock.System(), b.opts.settle) })
	if err != nil {
		return err
	}
	before, err := b.product.running.memory()
	if err != nil {
		return err
	}
	var most resident
	var took time.Duration
	var refused int64
	busy, err := b.beside(ctx, func(ctx context.Context) error {
		began := clock.System().Now()
		most, err = b.highest(ctx, func(ctx context.Context) error {
			var err error
			refused, err = b.signInsAtOnce(ctx)
			return err
		})
		took = clock.System().Now().Sub(began)
		return err
	})
	if err != nil {
		return err
	}
	bound := int64(max(1, runtime.NumCPU()-1)) // hashes at once: services/auth/identity/user.Hasher
	growth, limit := most.total-before.total, bound*64*megabyte
	rate := float64(int64(b.opts.signIns*b.opts.signInRounds)-refused) / took.Seconds()
	p99 := percentile(busy, 99)
	b.table.add(row{
		what:     fmt.Sprintf("%d sign-ins at once, %d each: resident memory at its highest, beside that before", b.opts.signIns, b.opts.signInRounds),
		measured: fmt.Sprintf("%s (%+.1f MB)", mb(most.total), float64(growth)/megabyte), floor: mb(before.total),
		aim: fmt.Sprintf("within %d × 64 MB", bound), met: growth < limit,
	}, row{
		what:     "GET /v1/me beside them: p99, beside that without",
		measured: fmt.Sprintf("%s (median %s)", ms(p99), ms(median(busy))),
		floor:    fmt.Sprintf("%s (median %s); %s sign-ins/s, %d refused", ms(percentile(quiet, 99)), ms(median(quiet)), count(rate), refused),
		aim:      "at most doubled", met: p99 <= 2*percentile(quiet, 99),
	})
	return nil
}

// signInsAtOnce returns the number of sign-ins that were refused as too many at once.
func (b *bench) signInsAtOnce(ctx context.Context) (refused int64, err error) {
	var overloaded atomic.Int64
	err = together(ctx, b.opts.signIns, b.opts.signIns*b.opts.signInRounds, func(ctx context.Context, _ int) error {
		_, err := b.api.refreshToken(ctx)
		if answer, ok := errors.AsType[*answerError](err); ok && answer.status == http.StatusServiceUnavailable {
			overloaded.Add(1)
			return nil
		}
		return err
	})
	return overloaded.Load(), err
}

// during runs work, and again and again look, which is told when work has ended.
func during(ctx context.Context, every time.Duration, work, look func(ctx context.Context) error) error {
	watch, stop := context.WithCancel(ctx)
	defer stop()
	looked := make(chan error, 1)
	go func() {
		for {
			if err := look(watch); err != nil {
				looked <- err
				return
			}
			if clock.Sleep(watch, clock.System(), every) != nil {
				looked <- nil
				return
			}
		}
	}()
	err := work(ctx)
	stop()
	if watched := <-looked; !errors.Is(watched, context.Canceled) {
		err = errors.Join(err, watched)
	}
	return err
}

// highest is the most memory that the product has during some work.
func (b *bench) highest(ctx context.Context, work func(ctx context.Context) error) (resident, error) {
	var most resident
	err := during(ctx, watchEvery, work, func(context.Context) error {
		now, err := b.product.running.memory()
		if now.total > most.total {
			most = now
		}
		return err
	})
	return most, err
}

// beside is how long steady readers of GET /v1/me wait during some work.
func (b *bench) beside(ctx context.Context, work func(ctx context.Context) error) ([]time.Duration, error) {
	readers := newClient()
	defer readers.CloseIdleConnections()
	var mu sync.Mutex
	var waits []time.Duration
	read := func(ctx context.Context) error {
		asked := clock.System().Now()
		if err := get(ctx, readers, b.api.base+"/v1/me", b.api.token); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		waits = append(waits, clock.System().Now().Sub(asked))
		return nil
	}
	for range b.opts.readers {
		inner := work
		work = func(ctx context.Context) error { return during(ctx, besideEvery, inner, read) }
	}
	err := work(ctx)
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(waits), err
}
