package postgres

import (
	"context"
	"fmt"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const meterName = "github.com/gatehouse/gatehouse/platform/postgres"

// tracer returns a tracer with a span for each statement and batch, which also records
// db.client.operation.duration. Spans contain the statement but never its arguments,
// because those contain personal data.
func (c Config) tracer(role Role) pgx.QueryTracer {
	return otelpgx.NewTracer(
		otelpgx.WithTracerProvider(c.TracerProvider),
		otelpgx.WithMeterProvider(c.MeterProvider),
		otelpgx.WithMeterAttributes(attribute.String("role", string(role))),
		otelpgx.WithMetricOperationName(otelpgx.SQLOperationName),
		otelpgx.WithDisableConnectionDetailsInAttributes(),
		otelpgx.WithDisableAcquireTracer(),
	)
}

// observePool reports gatehouse.pool.connections by role and state.
func observePool(cfg Config, role Role, pool *pgxpool.Pool) (metric.Registration, error) {
	meter := cfg.MeterProvider.Meter(meterName)
	gauge, err := meter.Int64ObservableGauge("gatehouse.pool.connections",
		metric.WithDescription("Connections to Postgres by role and state; max is the limit."),
		metric.WithUnit("{connection}"))
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	state := func(name string) metric.ObserveOption {
		return metric.WithAttributes(attribute.String("role", string(role)), attribute.String("state", name))
	}
	used, idle, opening, limit := state("used"), state("idle"), state("opening"), state("max")
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		stat := pool.Stat()
		o.ObserveInt64(gauge, int64(stat.AcquiredConns()), used)
		o.ObserveInt64(gauge, int64(stat.IdleConns()), idle)
		o.ObserveInt64(gauge, int64(stat.ConstructingConns()), opening)
		o.ObserveInt64(gauge, int64(stat.MaxConns()), limit)
		return nil
	}, gauge)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return registration, nil
}
