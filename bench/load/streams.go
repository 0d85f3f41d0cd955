package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// pacedTokens is how long the answers of paced streams are.
const pacedTokens = 60

// measureManyStreams measures many readers at once: at full speed for the rate,
// at a model's pace for the latency, and a crowd for the absence of errors.
func measureManyStreams(ctx context.Context, b *bench) error {
	return errors.Join(b.fullSpeed(ctx), b.paced(ctx), b.crowd(ctx))
}

// fullSpeed has the stub answer without any pause. The product is then busy to
// the brim, and so are its readers and the stub, on the same cores.
func (b *bench) fullSpeed(ctx context.Context) error {
	b.model.set(pace{tokens: b.opts.tokens})
	spent, err := b.cpuSince(b.product.running)
	if err != nil {
		return err
	}
	ours, err := b.flood(ctx, b.api.ask)
	if err != nil {
		return err
	}
	used, err := spent()
	if err != nil {
		return err
	}
	client := newClient()
	defer client.CloseIdleConnections()
	alone, err := b.flood(ctx, func(ctx context.Context) (answer, error) { return b.model.read(ctx, client) })
	if err != nil {
		return err
	}
	bare, err := dialBare(b.floor.GRPC)
	if err != nil {
		return err
	}
	least, err := b.flood(ctx, func(ctx context.Context) (answer, error) { return bare.read(ctx, b.opts.tokens) })
	if err := errors.Join(err, bare.close()); err != nil {
		return err
	}
	b.table.add(row{
		what: fmt.Sprintf("%d streams at full speed, %d answers of %d tokens: through the whole path",
			b.opts.many, b.opts.many*b.opts.answers, b.opts.tokens),
		measured: fmt.Sprintf("%s tokens/s", count(ours.rate())),
		floor:    fmt.Sprintf("bare gRPC stream: %s/s; the stub alone: %s/s", count(least.rate()), count(alone.rate())),
		aim:      "at least 30,000", met: ours.rate() >= 30_000,
	}, row{
		what: "processor time for each of these tokens, client and stub together", measured: used.per(ours.tokens),
	}, row{
		what:     "question to first delta at full speed (median; p99)",
		measured: fmt.Sprintf("%s; %s", ms(median(ours.waits)), ms(percentile(ours.waits, 99))),
		floor: fmt.Sprintf("bare gRPC stream: %s; %s, the stub alone: %s; %s", ms(median(least.waits)), ms(percentile(least.waits, 99)),
			ms(median(alone.waits)), ms(percentile(alone.waits, 99))),
	})
	return nil
}

// paced has the stub answer at the pace of a fast model.
func (b *bench) paced(ctx context.Context) error {
	b.model.set(pace{tokens: pacedTokens, between: 20 * time.Millisecond})
	ours, err := b.flood(ctx, b.api.ask)
	if err != nil {
		return err
	}
	p99 := percentile(ours.waits, 99)
	b.table.add(row{
		what:     fmt.Sprintf("%d streams at 50 tokens/s each: question to first delta (median; p99)", b.opts.many),
		measured: fmt.Sprintf("%s; %s", ms(median(ours.waits)), ms(p99)),
		floor:    fmt.Sprintf("%s tokens/s meanwhile", count(ours.rate())),
		aim:      "p99 below 100 ms", met: p99 < 100*time.Millisecond,
	})
	return nil
}

// crowd has many readers at once.
func (b *bench) crowd(ctx context.Context) error {
	b.model.set(pace{tokens: pacedTokens, between: 50 * time.Millisecond})
	ours := &flood{}
	began := clock.System().Now()
	err := together(ctx, b.opts.crowd, b.opts.crowd, func(ctx context.Context, _ int) error {
		a, err := b.api.ask(ctx)
		ours.note(a, err)
		return nil // every one of them is counted
	})
	if err != nil {
		return err
	}
	ours.took = clock.System().Now().Sub(began)
	b.table.add(row{
		what:     fmt.Sprintf("%d streams at once, 20 tokens/s each: errors", b.opts.crowd),
		measured: fmt.Sprintf("%d of %d", len(ours.failures), b.opts.crowd),
		floor: fmt.Sprintf("%s tokens/s; first delta %s; %s", count(ours.rate()), ms(median(ours.waits)),
			ms(percentile(ours.waits, 99))),
		aim: "none", met: len(ours.failures) == 0,
	})
	if len(ours.failures) > 0 {
		b.say("the first of the crowd's errors: %v", ours.failures[0])
	}
	return nil
}

// flood is what many readers saw.
type flood struct {
	mu       sync.Mutex
	tokens   int
	waits    []time.Duration
	failures []error
	took     time.Duration
}

func (f *flood) note(a answer, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.failures = append(f.failures, err)
		return
	}
	f.tokens += a.tokens
	f.waits = append(f.waits, a.first.Sub(a.asked))
}

func (f *flood) rate() float64 { return float64(f.tokens) / f.took.Seconds() }

// flood has readers read one answer after the other, all at once.
func (b *bench) flood(ctx context.Context, read func(ctx context.Context) (answer, error)) (*flood, error) {
	out := &flood{}
	began := clock.System().Now()
	err := together(ctx, b.opts.many, b.opts.many*b.opts.answers, func(ctx context.Context, _ int) error {
		a, err := read(ctx)
		out.note(a, err)
		return err
	})
	out.took = clock.System().Now().Sub(began)
	return out, err
}
