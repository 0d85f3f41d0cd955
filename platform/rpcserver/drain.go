package rpcserver

import (
	"context"
	"errors"
)

// errDraining is the cause with which streams end when the server stops.
var errDraining = errors.New("the server is stopping")

// drain ends open streams when the server stops.
type drain struct {
	ctx   context.Context //nolint:containedctx // canceled when the drain begins
	begin context.CancelFunc
}

func newDrain() *drain {
	ctx, begin := context.WithCancel(context.Background()) //nolint:forbidigo // it belongs to the server, and ends with begin
	return &drain{ctx: ctx, begin: begin}
}

// bind returns a child of ctx that also ends when the drain begins.
func (d *drain) bind(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	unbind := context.AfterFunc(d.ctx, func() { cancel(errDraining) })
	return ctx, func(cause error) {
		unbind()
		cancel(cause)
	}
}
