package run

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/gatehouse/gatehouse/platform/fault"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// usage counts the tokens of runs as a metric. It is safe for concurrent use.
type usage struct{ tokens metric.Int64Counter }

func newUsage(meter metric.Meter) (*usage, error) {
	tokens, err := meter.Int64Counter("gatehouse.run.tokens", metric.WithUnit("{token}"),
		metric.WithDescription("Tokens that runs have read and written."))
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the metrics of runs cannot be created")
	}
	return &usage{tokens: tokens}, nil
}

// add counts the tokens of an answer, whether or not its run succeeded.
func (u *usage) add(ctx context.Context, message *chatv1.AnsweredMessage) {
	used, model := message.GetUsage(), attribute.String("gen_ai.request.model", message.GetModel())
	u.tokens.Add(ctx, int64(used.GetInputTokens()), metric.WithAttributes(model, attribute.String("gen_ai.token.type", "input")))
	u.tokens.Add(ctx, int64(used.GetOutputTokens()), metric.WithAttributes(model, attribute.String("gen_ai.token.type", "output")))
}
