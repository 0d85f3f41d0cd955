package rpcserver_test

import (
	"context"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// S85: an accepted stream has the header of acceptance, and a refused stream never has
// it, with rate limits on and off.
func TestS85OnlyAcceptedStreamsHaveTheHeader(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]bool{"limits on": true, "limits off": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, rpctest.Options{Limits: limits})
			r.handlers.watch = func(context.Context) error { return nil }
			for _, tc := range []struct {
				name     string
				ctx      context.Context
				request  *chatv1.WatchRunRequest
				accepted bool
				want     faultv1.Reason
			}{
				{"no credential", t.Context(), &chatv1.WatchRunRequest{RunId: id.New()}, false, faultv1.Reason_REASON_UNAUTHENTICATED},
				{"no permission", r.as(t), &chatv1.WatchRunRequest{RunId: id.New()}, false, faultv1.Reason_REASON_PERMISSION_DENIED},
				{"a bad form", r.as(t, "member"), &chatv1.WatchRunRequest{RunId: "x"}, false, faultv1.Reason_REASON_INVALID_ARGUMENT},
				{"the handler refuses", r.as(t, "member"), &chatv1.WatchRunRequest{RunId: id.New(), AfterSeq: refusedSeq}, false, faultv1.Reason_REASON_NOT_FOUND},
				{"accepted by a header", r.as(t, "member"), &chatv1.WatchRunRequest{RunId: id.New()}, true, 0},
				{"accepted by a message", r.as(t, "member"), &chatv1.WatchRunRequest{RunId: id.New(), AfterSeq: messageSeq}, true, 0},
			} {
				stream, err := r.runs.WatchRun(tc.ctx, tc.request)
				must(t, err)
				for err == nil {
					_, err = stream.Recv()
				}
				if tc.want != 0 && !fault.Is(err, tc.want) {
					t.Errorf("%s: %v", tc.name, err)
				}
				header, headerErr := stream.Header()
				must(t, headerErr)
				if got := len(header.Get(rpcserver.MetadataStreamAccepted)) > 0; got != tc.accepted {
					t.Errorf("%s: accepted %v, header %v", tc.name, got, header)
				}
			}
		})
	}
}
