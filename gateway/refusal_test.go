package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// limitHeaders returns the headers that a service with rate limits sets before it decides.
func limitHeaders() metadata.MD {
	return metadata.Pairs(rpcserver.MetadataRateLimit, `"read";r=1;t=60`, rpcserver.MetadataRateLimitPolicy, `"read";q=2;w=60`)
}

// S85: the headers of a service do not accept a stream. Before the fix, a refusal
// that followed the headers of the rate limit became an empty stream with 200.
func TestS85AStreamRefusedAfterHeadersIsRefused(t *testing.T) {
	t.Parallel()
	refuse := func(stream grpc.ServerStream) error {
		if err := stream.SetHeader(limitHeaders()); err != nil {
			return err
		}
		return fault.New(faultv1.Reason_REASON_NOT_FOUND, "no such thing")
	}
	d := &double{
		watch:  func(_ *chatv1.WatchRunRequest, stream watchStream) error { return refuse(stream) },
		send:   func(_ *chatv1.SendMessageRequest, stream watchStream) error { return refuse(stream) },
		export: func(stream grpc.ServerStreamingServer[chatv1.ExportRecord]) error { return refuse(stream) },
		upload: func(stream grpc.ServerStream) error { return refuse(stream) },
	}
	h := start(t, d, inMemory)
	file, contentType := form(t, part{name: "file", fileName: "a.txt", body: "text"})
	for _, c := range []struct{ method, path, body, contentType string }{
		{http.MethodGet, "/v1/runs/run/events", "", ""},
		{http.MethodPost, "/v1/conversations/c/messages:stream", `{"content":"x"}`, "application/json"},
		{http.MethodPost, "/v1/me:export", `{}`, "application/json"},
		{http.MethodPost, uploadPath, file, contentType},
	} {
		a := h.call(c.method, c.path, c.body, "Authorization", "Bearer u", "Content-Type", c.contentType)
		if a.StatusCode != http.StatusNotFound || a.problem(t).Reason != "NOT_FOUND" {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.StatusCode, a.body)
		}
		if a.Header.Get("RateLimit") == "" || !strings.Contains(a.Header.Get("RateLimit-Policy"), "read") {
			t.Errorf("%s %s has no rate limit: %v", c.method, c.path, a.Header)
		}
	}
}

// S85: the first event accepts a stream, as the header does. An accepted stream has the
// headers of the rate limit too.
func TestS85AStreamIsAcceptedByItsFirstEvent(t *testing.T) {
	t.Parallel()
	d := &double{watch: func(_ *chatv1.WatchRunRequest, stream watchStream) error {
		if err := stream.SetHeader(limitHeaders()); err != nil {
			return err
		}
		return stream.Send(completed(1))
	}}
	h := start(t, d, inMemory)
	a := h.call(http.MethodGet, "/v1/runs/run/events", "")
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, "id: 1\nevent: run.completed\n") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if !strings.Contains(a.Header.Get("RateLimit-Policy"), "read") {
		t.Errorf("no rate limit: %v", a.Header)
	}
}
