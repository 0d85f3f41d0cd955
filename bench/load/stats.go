package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// percentile is the smallest value that at least p percent of the values do not
// exceed; 0 for no values.
func percentile[T float64 | time.Duration](values []T, p float64) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func median[T float64 | time.Duration](values []T) T { return percentile(values, 50) }

// ms shows a duration with the digits that matter.
func ms(d time.Duration) string {
	v := float64(d) / float64(time.Millisecond)
	if v < 10 {
		return fmt.Sprintf("%.2f ms", v)
	}
	return fmt.Sprintf("%.0f ms", v)
}

// mb shows a size in bytes.
func mb(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/megabyte) }

// count shows a rate with its thousands apart.
func count(rate float64) string {
	n := int64(math.Round(rate))
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return count(float64(n/1000)) + fmt.Sprintf(",%03d", n%1000)
}

// together has workers share total pieces of work and waits for them. The first
// failure stops the rest.
func together(ctx context.Context, workers, total int, work func(ctx context.Context, n int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pieces := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for n := range pieces {
				if err := work(ctx, n); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for n := range total {
		select {
		case pieces <- n:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(pieces)
	wg.Wait()
	return context.Cause(ctx)
}
