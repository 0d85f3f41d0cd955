package jobs

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

const (
	meterName = "github.com/gatehouse/gatehouse/platform/jobs"
	// sampleEvery is how often the queue is counted. It does not depend on how often the
	// metric is read.
	sampleEvery = 15 * time.Second
	// staleAfter is the age of the last count after which the client is not healthy.
	staleAfter = 3 * sampleEvery
)

// depth is the number of jobs of a queue in a state.
type depth struct {
	Queue string
	State string
	Count int64
}

// waiting returns the states of jobs that have not succeeded, as River names them.
func waiting() []string {
	return []string{"available", "retryable", "running", "scheduled", "pending", "discarded", "cancelled"}
}

// sampler stores the last count of the queue. A successful count also shows that the
// workers can reach the queue, because they use the same pool and the same table.
type sampler struct {
	table  string
	queues []string // the queues that this client works
	mu     sync.Mutex
	depths []depth
	at     time.Time
}

// sample counts until ctx ends.
func (c *Client) sample(ctx context.Context) {
	for {
		depths, err := postgres.QueryAll(ctx, c.db, postgres.Scope{}, pgx.RowToStructByPos[depth],
			// Finished jobs are not counted: there may be many, and an index covers the others.
			"SELECT queue, state::text, count(*) FROM "+c.sampler.table+
				" WHERE state IN ('"+strings.Join(waiting(), "', '")+"') GROUP BY queue, state")
		switch {
		case err == nil:
			c.sampler.set(depths, c.opts.Clock.Now())
		case ctx.Err() == nil:
			c.opts.Log.WarnContext(ctx, "the job queue cannot be counted", "error", err)
		}
		if clock.Sleep(ctx, c.opts.Clock, sampleEvery) != nil {
			return
		}
	}
}

func (s *sampler) set(depths []depth, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.depths, s.at = depths, at
}

func (s *sampler) fresh(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.at.IsZero() && now.Sub(s.at) < staleAfter
}

// observe reports gatehouse.jobs by queue and state.
func (s *sampler) observe(provider metric.MeterProvider) (metric.Registration, error) {
	meter := provider.Meter(meterName)
	gauge, err := meter.Int64ObservableGauge("gatehouse.jobs",
		metric.WithDescription("Jobs that have not ended well, by queue and state."), metric.WithUnit("{job}"))
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for d, count := range s.counts() {
			o.ObserveInt64(gauge, count, metric.WithAttributes(attribute.String("queue", d.Queue), attribute.String("state", d.State)))
		}
		return nil
	}, gauge)
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return registration, nil
}

// counts returns the last counts by queue and state. A state without jobs is reported as
// 0, because a missing value looks like one that is not measured.
func (s *sampler) counts() map[depth]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[depth]int64, len(s.depths))
	for _, queue := range s.queues {
		for _, state := range waiting() {
			counts[depth{Queue: queue, State: state}] = 0
		}
	}
	for _, d := range s.depths {
		counts[depth{Queue: d.Queue, State: d.State}] = d.Count
	}
	return counts
}
