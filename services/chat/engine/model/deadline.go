package model

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// WithDeadline returns a model whose calls are bounded, including all wrappers inside.
func WithDeadline(m Model, limit time.Duration) Model {
	return &limited{Model: m, limit: limit}
}

type limited struct {
	Model
	limit time.Duration
}

func (l *limited) Stream(ctx context.Context, req Request, emit func(Delta) error) (Result, error) {
	callCtx, cancel := context.WithTimeout(ctx, l.limit)
	defer cancel()
	result, err := l.Model.Stream(callCtx, req, emit)
	if err != nil && ctx.Err() == nil && errors.Is(callCtx.Err(), context.DeadlineExceeded) {
		return result, fault.Wrap(err, faultv1.Reason_REASON_DEADLINE_EXCEEDED, "The model did not finish its answer within %s.", l.limit)
	}
	return result, err
}
