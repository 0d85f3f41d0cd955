package gateway_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// A client that reads nothing must not keep its call to the service open.
func TestS59SlowReadersAreDisconnected(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	d := &double{watch: func(_ *chatv1.WatchRunRequest, stream watchStream) error {
		defer close(ended)
		if err := accept(stream); err != nil {
			return err
		}
		text := strings.Repeat("x", 64<<10)
		for seq := int32(1); ; seq++ {
			if err := stream.Send(delta(seq, text)); err != nil {
				return err
			}
		}
	}}
	h := start(t, d, inMemory, impatient(100*time.Millisecond))
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /v1/runs/run/events HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	within(t, ended, "the slow reader to be cut")
}

func TestRun_Stop_EndsStreamsAndFinishesRequests(t *testing.T) {
	t.Parallel()
	d := &double{watch: func(_ *chatv1.WatchRunRequest, stream watchStream) error {
		if err := accept(stream); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}}
	h := start(t, d)
	_, events := h.open("GET", "/v1/runs/run/events", "")
	block(t, events)
	h.stop()
	if rest, err := events.ReadString(0); err == nil || rest != "" || err.Error() != "EOF" {
		t.Errorf("the stream ended with %q, %v; want a clean end without an event", rest, err)
	}
	if err := within(t, h.done, "the gateway to stop"); err != nil {
		t.Error(err)
	}
}

func TestS59OpenStreamsAreBounded(t *testing.T) {
	t.Parallel()
	d := &double{watch: func(_ *chatv1.WatchRunRequest, stream watchStream) error {
		if err := accept(stream); err != nil {
			return err
		}
		<-stream.Context().Done()
		return nil
	}}
	h := start(t, d, inMemory, limited)
	for range 100 {
		_, events := h.open("GET", "/v1/runs/run/events", "", "Authorization", "Bearer one")
		block(t, events)
	}
	a := h.call("GET", "/v1/runs/run/events", "", "Authorization", "Bearer one")
	if a.StatusCode != 429 || a.Header.Get("Retry-After") == "" {
		t.Errorf("stream 101: %d %s", a.StatusCode, a.body)
	}
	_, events := h.open("GET", "/v1/runs/run/events", "", "Authorization", "Bearer two")
	block(t, events)
}

// gauge returns how many open streams the metrics of the gateway report.
func (h *harness) gauge() int64 {
	var data metricdata.ResourceMetrics
	if err := h.reader.Collect(h.t.Context(), &data); err != nil {
		h.t.Fatal(err)
	}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "gatehouse_streams_open" {
				return sum.DataPoints[0].Value
			}
		}
	}
	return 0
}

// eventually polls until a condition holds.
func (h *harness) eventually(what string, holds func() bool) {
	h.t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(patience); !holds(); {
		select {
		case <-ticker.C:
		case <-deadline:
			h.t.Fatalf("timed out waiting for %s", what)
		}
	}
}
