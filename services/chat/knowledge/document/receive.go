package document

import (
	"context"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

const (
	// uploadTimeout ends an upload, however slow its client.
	uploadTimeout = 5 * time.Minute
	// idleTimeout ends an upload of which nothing more comes.
	idleTimeout = 30 * time.Second
)

// untilTooLate bounds an upload by uploadTimeout.
func untilTooLate(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, uploadTimeout,
		fault.New(faultv1.Reason_REASON_DEADLINE_EXCEEDED, "the upload took longer than %s", uploadTimeout))
}

// receiver receives the parts of an upload, and can stop to wait for one: gRPC itself
// waits until the call ends. It receives a part only when it is asked for, so it holds
// no more than one.
type receiver struct {
	clock clock.Clock
	asks  chan struct{}
	parts chan received
}

type received struct {
	part *knowledgev1.UploadDocumentRequest
	err  error
}

// receive begins to receive; stop must be called at the end. The goroutine ends with
// stop, or, while it waits for a part, with the call: gRPC ends the waiting as soon as
// the handler has returned.
func receive(stream uploadStream, clk clock.Clock) *receiver {
	r := &receiver{clock: clk, asks: make(chan struct{}), parts: make(chan received, 1)}
	go func() {
		for range r.asks {
			part, err := stream.Recv()
			r.parts <- received{part, err} // it has room: nobody asks twice at once
		}
	}()
	return r
}

func (r *receiver) stop() { close(r.asks) }

// next returns the next part. After an error it must not be called again.
func (r *receiver) next(ctx context.Context) (*knowledgev1.UploadDocumentRequest, error) {
	r.asks <- struct{}{}
	idle := r.clock.NewTimer(idleTimeout)
	defer idle.Stop()
	select {
	case got := <-r.parts:
		return got.part, got.err
	case <-idle.C():
		return nil, fault.New(faultv1.Reason_REASON_DEADLINE_EXCEEDED, "nothing of the upload came for %s", idleTimeout)
	case <-ctx.Done():
		return nil, context.Cause(ctx) //nolint:wrapcheck // a fault, or what fault.From knows
	}
}
