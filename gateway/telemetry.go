package gateway

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatehouse/gatehouse/platform/clock"
)

const scopeName = "github.com/gatehouse/gatehouse/gateway"

// durationBuckets are the buckets that OpenTelemetry recommends for
// http.server.request.duration, in seconds.
//
//nolint:gochecknoglobals // a constant table
var durationBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// telemetry traces, measures and logs requests.
type telemetry struct {
	tracer     trace.Tracer
	propagator propagation.TraceContext
	duration   metric.Float64Histogram
	streams    metric.Int64UpDownCounter
	log        *slog.Logger
	clock      clock.Clock
}

func newTelemetry(deps Deps) (*telemetry, error) {
	meter := deps.Meter.Meter(scopeName)
	duration, err := meter.Float64Histogram("http.server.request.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of HTTP server requests."),
		metric.WithExplicitBucketBoundaries(durationBuckets...))
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	streams, err := meter.Int64UpDownCounter("gatehouse_streams_open", metric.WithUnit("{stream}"),
		metric.WithDescription("Open streams of clients."))
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return &telemetry{
		tracer: deps.Tracer.Tracer(scopeName), duration: duration, streams: streams, log: deps.Log, clock: deps.Clock,
	}, nil
}

// observe is a link that traces, measures and logs each request, also one that ends in a
// panic.
func (t *telemetry) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := t.propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := t.tracer.Start(ctx, methodName(r.Method), trace.WithSpanKind(trace.SpanKindServer))
		rec := &recorder{ResponseWriter: w}
		r = r.WithContext(ctx)
		defer func() { t.finish(rec, r, span) }()
		next.ServeHTTP(rec, r)
	})
}

// finish records the outcome of a request.
func (t *telemetry) finish(rec *recorder, r *http.Request, span trace.Span) {
	x := exchangeOf(r.Context())
	if rec.status == 0 {
		rec.status = http.StatusOK
		if r.Context().Err() != nil {
			rec.status = statusClientGone
		}
	}
	elapsed := t.clock.Now().Sub(x.start)
	attributes := []attribute.KeyValue{
		attribute.String("http.request.method", methodName(r.Method)),
		attribute.String("url.scheme", schemeOf(r)),
		attribute.Int("http.response.status_code", rec.status),
		attribute.String("network.protocol.version", fmt.Sprintf("%d.%d", r.ProtoMajor, r.ProtoMinor)),
	}
	name := methodName(r.Method)
	if x.route != "" {
		name += " " + x.route
		attributes = append(attributes, attribute.String("http.route", x.route))
	}
	if rec.status >= http.StatusInternalServerError {
		attributes = append(attributes, attribute.String("error.type", fmt.Sprint(rec.status)))
		span.SetStatus(otelcodes.Error, "")
	}
	span.SetName(name)
	span.SetAttributes(attributes...)
	span.SetAttributes(attribute.String("gatehouse.request.id", x.requestID))
	span.End()
	t.duration.Record(r.Context(), elapsed.Seconds(), metric.WithAttributes(attributes...))
	t.logRequest(r, rec, x, elapsed)
}

// methodName returns the HTTP method for names of metrics. It returns one name for all
// unknown methods, because a client may send any word.
func methodName(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return method
	default:
		return "_OTHER"
	}
}

func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// milliseconds returns a duration as the log shows it.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
