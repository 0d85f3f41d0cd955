package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// footprint is the product's memory, in bytes.
type footprint struct {
	// heap is what is in use after a collection, resident what the system counts
	// then.
	heap, resident int64
}

// measureMemory compares the product's memory after some answers and after many:
// what grows with every answer would show.
func measureMemory(ctx context.Context, b *bench) error {
	b.model.set(pace{tokens: 40, between: time.Millisecond})
	answered := 0
	answer := func(total int) (footprint, error) {
		err := together(ctx, b.opts.clients, total-answered, func(ctx context.Context, _ int) error {
			_, err := b.api.ask(ctx)
			return err
		})
		answered = total
		if err != nil {
			return footprint{}, err
		}
		return b.footprint(ctx)
	}
	early, err := answer(b.opts.early)
	if err != nil {
		return err
	}
	late, err := answer(b.opts.late)
	if err != nil {
		return err
	}
	for _, m := range []struct {
		what        string
		early, late int64
	}{
		{"resident memory after a collection", early.resident, late.resident},
		{"heap after a collection", early.heap, late.heap},
	} {
		growth := float64(m.late)/float64(m.early) - 1
		b.table.add(row{
			what:     fmt.Sprintf("%s after %s answers, beside that after %s", m.what, count(float64(b.opts.late)), count(float64(b.opts.early))),
			measured: fmt.Sprintf("%s (%+.1f %%)", mb(m.late), 100*growth),
			floor:    mb(m.early), aim: "within 5 %", met: growth <= 0.05,
		})
	}
	return nil
}

// footprint has the product collect its garbage, leaves it the time to give what
// it does not need back to the system, and reads its memory. Without that, how
// full the heap happened to be would be most of the figure.
func (b *bench) footprint(ctx context.Context) (footprint, error) {
	p := b.product
	if _, err := p.operations(ctx, "/debug/pprof/heap?gc=1"); err != nil {
		return footprint{}, err
	}
	if err := clock.Sleep(ctx, clock.System(), b.opts.settle); err != nil {
		return footprint{}, err
	}
	metrics, err := p.operations(ctx, "/metrics")
	if err != nil {
		return footprint{}, err
	}
	heap, err := metric(metrics, "go_memstats_heap_alloc_bytes")
	if err != nil {
		return footprint{}, err
	}
	r, err := p.running.memory()
	return footprint{heap: int64(heap), resident: r.total}, err
}

// metric finds a metric without labels.
func metric(page []byte, name string) (float64, error) {
	lines := bufio.NewScanner(bytes.NewReader(page))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}
