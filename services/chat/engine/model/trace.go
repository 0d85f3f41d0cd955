package model

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatehouse/gatehouse/platform/fault"
)

// WithTrace returns a model that records a span for each call, according to OpenTelemetry's
// semantic conventions for generative AI. Spans do not contain prompts and answers, because
// these are private.
func WithTrace(m Model, tracer trace.Tracer) Model { return &traced{Model: m, tracer: tracer} }

type traced struct {
	Model
	tracer trace.Tracer
}

func (t *traced) Stream(ctx context.Context, req Request, emit func(Delta) error) (Result, error) {
	system, name, _ := strings.Cut(t.Name(), "/")
	ctx, span := t.tracer.Start(ctx, "chat "+name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("gen_ai.operation.name", "chat"),
		attribute.String("gen_ai.provider.name", system),
		attribute.String("gen_ai.request.model", name),
	))
	defer span.End()
	if req.Temperature != nil {
		span.SetAttributes(attribute.Float64("gen_ai.request.temperature", *req.Temperature))
	}
	if req.TopP != nil {
		span.SetAttributes(attribute.Float64("gen_ai.request.top_p", *req.TopP))
	}
	if req.MaxTokens > 0 {
		span.SetAttributes(attribute.Int("gen_ai.request.max_tokens", req.MaxTokens))
	}
	first := true
	result, err := t.Model.Stream(ctx, req, func(d Delta) error {
		if first {
			first = false
			span.AddEvent("gen_ai.first_token")
		}
		return emit(d)
	})
	span.SetAttributes(
		attribute.Int64("gen_ai.usage.input_tokens", result.Usage.InputTokens),
		attribute.Int64("gen_ai.usage.output_tokens", result.Usage.OutputTokens),
	)
	if result.Finish != "" {
		span.SetAttributes(attribute.StringSlice("gen_ai.response.finish_reasons", []string{string(result.Finish)}))
	}
	if err != nil {
		reason := fault.From(err).Name()
		span.SetAttributes(attribute.String("error.type", reason))
		span.SetStatus(codes.Error, reason)
	}
	return result, err
}
