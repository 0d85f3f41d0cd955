// Package obs builds the observability of a process: logs, traces and metrics.
//
// [New] builds all three from one [Config]. They are passed to the code that needs them;
// no global is set.
//
// Logs are written to one writer, as text or JSON, one event a line. A line that is
// written with a context has the trace id and the span id. The values of attributes with
// names like those of credentials are redacted. Protobuf messages are logged with
// [Redacted], which hides the fields that the contract marks with debug_redact.
//
// Metrics follow OpenTelemetry's semantic conventions. Prometheus reads them from
// [Telemetry.Metrics]. Traces are sent over OTLP when an endpoint is set. Without an
// endpoint spans still exist, so that logs have trace ids and traceparent is forwarded.
package obs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Config is the configuration of logs, traces and metrics.
type Config struct {
	// Format of log lines: text or json. Empty means text in local, and json elsewhere.
	LogFormat string `env:"GATEHOUSE_LOG_FORMAT"`
	// Lowest level that is logged: debug, info, warn or error.
	LogLevel string `env:"GATEHOUSE_LOG_LEVEL" envDefault:"info"`
	// URL of an OTLP/gRPC collector for traces. Empty means that no traces are sent.
	OTLPEndpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	// Share of the traces that begin in this process and are recorded, from 0 to 1.
	TraceRatio float64 `env:"GATEHOUSE_TRACE_RATIO" envDefault:"1"`
}

// Validate reports every setting that is wrong.
func (c Config) Validate() error {
	var problems []error
	if c.LogFormat != "" && c.LogFormat != "text" && c.LogFormat != "json" {
		problems = append(problems, fmt.Errorf("GATEHOUSE_LOG_FORMAT: %q is neither text nor json", c.LogFormat))
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		problems = append(problems, fmt.Errorf("GATEHOUSE_LOG_LEVEL: %q is none of debug, info, warn, error", c.LogLevel))
	}
	if c.TraceRatio < 0 || c.TraceRatio > 1 {
		problems = append(problems, fmt.Errorf("GATEHOUSE_TRACE_RATIO: %v is not from 0 to 1", c.TraceRatio))
	}
	return errors.Join(problems...)
}

// Telemetry is the logs, traces and metrics of a process.
type Telemetry struct {
	// Log is the process's logger.
	Log *slog.Logger
	// Tracer makes spans.
	Tracer trace.TracerProvider
	// Meter makes instruments.
	Meter metric.MeterProvider
	// Metrics serves Prometheus.
	Metrics http.Handler

	shutdown []func(context.Context) error
}

// New builds the telemetry of a process. The parameter json decides the format of logs
// when the configuration does not. Additional span processors are for tests.
func New(ctx context.Context, cfg Config, process, version string, json bool, w io.Writer,
	processors ...sdktrace.SpanProcessor,
) (*Telemetry, error) {
	res := resource.NewSchemaless(
		attribute.String("service.name", process),
		attribute.String("service.version", version),
	)
	t := &Telemetry{Log: newLogger(cfg, json, w)}
	if err := t.openMetrics(res); err != nil {
		return nil, err
	}
	if err := t.openTraces(ctx, cfg, res, processors); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Telemetry) openMetrics(res *resource.Resource) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := otelprometheus.New(
		otelprometheus.WithRegisterer(registry),
		otelprometheus.WithoutScopeInfo(),
	)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(res))
	t.Meter = provider
	t.Metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return nil
}

func (t *Telemetry) openTraces(ctx context.Context, cfg Config, res *resource.Resource, processors []sdktrace.SpanProcessor) error {
	options := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(res),
		sdktrace.WithSampler(sampler(cfg, len(processors) > 0)),
	}
	for _, p := range processors {
		options = append(options, sdktrace.WithSpanProcessor(p))
	}
	if cfg.OTLPEndpoint != "" {
		exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(cfg.OTLPEndpoint))
		if err != nil {
			return fmt.Errorf("traces: %w", err)
		}
		options = append(options, sdktrace.WithBatcher(exporter, sdktrace.WithExportTimeout(5*time.Second)))
	}
	provider := sdktrace.NewTracerProvider(options...)
	t.Tracer = provider
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return nil
}

// sampler records no span when nothing reads the spans. A span then costs only its ids.
func sampler(cfg Config, observed bool) sdktrace.Sampler {
	if cfg.OTLPEndpoint == "" && !observed {
		return sdktrace.NeverSample()
	}
	return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(cfg.TraceRatio))
}

// Shutdown sends the remaining data, within the context's deadline.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var problems []error
	for _, shutdown := range t.shutdown {
		problems = append(problems, shutdown(ctx))
	}
	return errors.Join(problems...)
}
