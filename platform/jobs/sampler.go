package jobs

import (
	"context"
	"fmt"
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
	// sampleEvery is how often the queue is counted, whoever asks for the metric
	// however often.
	sampleEvery = 15 * time.Second
	// staleAfter is when workers that could not count count as lost.
	staleAfter = 3 * sampleEvery
)

// depth is how many jobs of a queue are in a state.
type depth struct {
	Queue string
	State string
	Count int64
}

// sampler remembers the last count of the queue. That it succeeds is the
// workers' heartbeat: they use the same pool and the same table.
type sampler struct {
	table  string
	mu     sync.Mutex
	depths []depth
	at     time.Time
}

// sample counts until ctx ends.
func (c *Client) sample(ctx context.Context) {
	for {
		depths, err := postgres.QueryAll(ctx, c.db, postgres.Scope{}, pgx.RowToStructByPos[depth],
			// Finished jobs are left out: there may be many, and an index covers the rest.
			"SELECT queue, state::text, count(*) FROM "+c.sampler.table+
				" WHERE state IN ('available', 'retryable', 'running', 'scheduled', 'pending', 'discarded') GROUP BY queue, state")
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
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, d := range s.depths {
			o.ObserveInt64(gauge, d.Count, metric.WithAttributes(attribute.String("queue", d.Queue), attribute.String("state", d.State)))
		}
		return nil
	}, gauge)
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return registration, nil
}
