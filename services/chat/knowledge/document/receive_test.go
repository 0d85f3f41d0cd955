package document

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

// slowStream is an upload whose parts arrive slowly. Like a stream of gRPC, it ends with
// its context.
type slowStream struct {
	grpc.ServerStream
	ctx   context.Context
	every time.Duration // the time between two parts
	parts int           // how many parts arrive
}

func (s *slowStream) Context() context.Context { return s.ctx }

func (*slowStream) SendAndClose(*knowledgev1.Document) error { return nil }

func (s *slowStream) Recv() (*knowledgev1.UploadDocumentRequest, error) {
	select {
	case <-time.After(s.every):
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
	if s.parts--; s.parts < 0 {
		return nil, io.EOF
	}
	return &knowledgev1.UploadDocumentRequest{Part: &knowledgev1.UploadDocumentRequest_Chunk{Chunk: []byte("x")}}, nil
}

// S89: an upload of which no part arrives ends, and makes room for others.
func TestS89IdleUploadsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(identity.NewContext(t.Context(), &identity.Principal{UserID: "u", OrganizationID: "o"}))
		defer cancel() // gRPC does so when the handler has returned
		s, begun := &Service{deps: Deps{Budget: NewBudget(), Clock: clock.System()}}, time.Now()
		err := s.UploadDocument(&slowStream{ctx: ctx, every: time.Hour})
		if !fault.Is(err, faultv1.Reason_REASON_DEADLINE_EXCEEDED) || time.Since(begun) != idleTimeout {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if s.deps.Budget.total != 0 {
			t.Error("it still counts as an upload")
		}
	})
}

// S89: an upload whose parts keep arriving slowly ends too.
func TestS89SlowUploadsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		call, end := context.WithCancel(t.Context())
		defer end()
		parts := receive(&slowStream{ctx: call, every: 20 * time.Second, parts: 1000}, clock.System())
		defer parts.stop()
		begun := time.Now()
		ctx, cancel := withUploadTimeout(call)
		defer cancel()
		err := receiveContent(ctx, parts, io.Discard, 1<<20)
		if !fault.Is(err, faultv1.Reason_REASON_DEADLINE_EXCEEDED) || time.Since(begun) != uploadTimeout {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

// Parts that arrive in time are received. A client that leaves is not a timeout.
func TestReceive_PartsInTime_AreReceived(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		parts := receive(&slowStream{ctx: t.Context(), every: 10 * time.Second, parts: 3}, clock.System())
		if err := receiveContent(t.Context(), parts, io.Discard, 1<<20); err != nil {
			t.Error(err)
		}
		parts.stop()
		call, end := context.WithCancel(t.Context())
		parts = receive(&slowStream{ctx: call, every: time.Hour}, clock.System())
		defer parts.stop()
		time.AfterFunc(time.Second, end)
		if _, err := parts.next(call); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}
