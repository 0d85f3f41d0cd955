package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// measureStart stops and starts the product on its own data, and looks at its
// memory while nobody asks anything of it.
func measureStart(ctx context.Context, b *bench) error {
	took := make([]time.Duration, 0, b.opts.starts)
	for range b.opts.starts {
		if err := b.product.stop(); err != nil {
			return err
		}
		began := clock.System().Now()
		if err := b.product.start(ctx); err != nil {
			return err
		}
		took = append(took, clock.System().Now().Sub(began))
	}
	warm := median(took)
	b.table.add(row{
		what:     fmt.Sprintf("warm start to the first 200 of /readyz, Postgres included (median of %d)", len(took)),
		measured: ms(warm), aim: "below 300 ms", met: warm < 300*time.Millisecond,
	})
	return b.idle(ctx)
}

// idle reads the memory right after a start, and again when the product has
// been left alone.
func (b *bench) idle(ctx context.Context) error {
	fresh, err := b.product.running.memory()
	if err != nil {
		return err
	}
	if err := clock.Sleep(ctx, clock.System(), b.opts.settle); err != nil {
		return err
	}
	settled, err := b.product.running.memory()
	if err != nil {
		return err
	}
	const limit = 60 * megabyte
	b.table.add(row{
		what:     "resident memory, idle, right after a warm start",
		measured: fmt.Sprintf("%s (%s without files' pages)", mb(fresh.total), mb(fresh.anonymous)),
		aim:      "below 60 MB", met: fresh.total < limit,
	}, row{
		what:     fmt.Sprintf("the same %s later", b.opts.settle),
		measured: fmt.Sprintf("%s (%s)", mb(settled.total), mb(settled.anonymous)),
		aim:      "below 60 MB", met: settled.total < limit,
	})
	return nil
}
