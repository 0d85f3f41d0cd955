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
	// uploadTimeout bounds an upload.
	uploadTimeout = 5 * time.Minute
	// idleTimeout ends an upload of which no part arrives.
	idleTimeout = 30 * time.Second
)

// withUploadTimeout bounds an upload by uploadTimeout.
func withUploadTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, uploadTimeout,
		fault.New(faultv1.Reason_REASON_DEADLINE_EXCEEDED, "the upload took longer than %s", uploadTimeout))
}

// receiver receives the parts of an upload. Unlike gRPC, it can stop waiting for a part
// before the call ends. It receives a part only on request, so it keeps one at most.
//
// One goroutine calls stream.Recv. The goroutine of the handler calls next and stop.
type receiver struct {
	clock    clock.Clock
	requests chan struct{}
	parts    chan received
}

type received struct {
	part *knowledgev1.UploadDocumentRequest
	err  error
}

// receive starts a receiver. The caller must call stop at the end. The goroutine ends
// after stop. If it waits for a part then, it ends with the call, because gRPC cancels
// stream.Recv when the handler has returned.
func receive(stream uploadStream, clk clock.Clock) *receiver {
	r := &receiver{clock: clk, requests: make(chan struct{}), parts: make(chan received, 1)}
	go func() {
		for range r.requests {
			part, err := stream.Recv()
			r.parts <- received{part, err} // does not block: there is one request at a time
		}
	}()
	return r
}

func (r *receiver) stop() { close(r.requests) }

// next returns the next part. The caller must not call it again after an error.
func (r *receiver) next(ctx context.Context) (*knowledgev1.UploadDocumentRequest, error) {
	r.requests <- struct{}{}
	idle := r.clock.NewTimer(idleTimeout)
	defer idle.Stop()
	select {
	case got := <-r.parts:
		return got.part, got.err
	case <-idle.C():
		return nil, fault.New(faultv1.Reason_REASON_DEADLINE_EXCEEDED, "no part of the upload arrived for %s", idleTimeout)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
