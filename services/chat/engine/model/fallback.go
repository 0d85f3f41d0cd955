package model

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// WithFallback returns a model that calls the next model when one fails before its first
// visible token. It has the name of the first model. The Result has the name of the model that
// has answered.
func WithFallback(first Model, others ...Model) Model {
	if len(others) == 0 {
		return first
	}
	return &chain{Model: first, others: others}
}

type chain struct {
	Model
	others []Model
}

func (c *chain) Stream(ctx context.Context, req Request, emit func(Delta) error) (Result, error) {
	visible := false
	watched := func(d Delta) error {
		visible = true
		return emit(d)
	}
	result, err := c.Model.Stream(ctx, req, watched)
	spent := result.Usage
	for _, next := range c.others {
		if err == nil || visible || ctx.Err() != nil || !providerFailed(err) {
			return result, err
		}
		result, err = next.Stream(ctx, req, watched)
		result.Fallback = true
		spent = spent.Add(result.Usage)
		result.Usage = spent
	}
	return result, err
}

// providerFailed reports whether another provider may succeed.
func providerFailed(err error) bool {
	switch fault.ReasonOf(err) {
	case faultv1.Reason_REASON_PROVIDER_UNAVAILABLE, faultv1.Reason_REASON_PROVIDER_RATE_LIMITED,
		faultv1.Reason_REASON_PROVIDER_AUTHENTICATION, faultv1.Reason_REASON_PROVIDER_CONTEXT_TOO_LONG,
		faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM, faultv1.Reason_REASON_PROVIDER_REJECTED,
		faultv1.Reason_REASON_DEADLINE_EXCEEDED, faultv1.Reason_REASON_MODEL_NOT_CONFIGURED:
		return true
	default:
		return false
	}
}
