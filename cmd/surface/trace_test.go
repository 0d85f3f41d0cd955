package surface_test

import (
	"context"
	"encoding/hex"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
)

// collector is an OTLP collector that stores the spans it receives.
type collector struct {
	collectorv1.UnsafeTraceServiceServer

	mu    sync.Mutex
	spans []*tracev1.Span
}

// Export implements the RPC of the collector.
func (c *collector) Export(_ context.Context, req *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range req.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// spansOf returns the spans of a trace.
func (c *collector) spansOf(trace string) []*tracev1.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*tracev1.Span
	for _, span := range c.spans {
		if hex.EncodeToString(span.GetTraceId()) == trace {
			out = append(out, span)
		}
	}
	return out
}

// startCollector serves a collector and returns its URL.
func startCollector(t *testing.T) (*collector, string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, server := &collector{}, grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(server, c)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return c, "http://" + listener.Addr().String()
}

const (
	trace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	secret = "the crown jewels are in the cellar"
)

// S74: one question is one trace. It begins at the client and continues through the gateway, the
// services, their SQL and the call of the model. No span contains the question, a password or a
// token.
func TestTrace_OneQuestion_SpansAllServicesWithoutSecrets(t *testing.T) {
	t.Parallel()
	model := httptest.NewServer(modelstub.New(modelstub.Options{Default: modelstub.Echo(5, 0)}))
	t.Cleanup(model.Close)
	collected, endpoint := startCollector(t)
	i := inprocess.Start(t, map[string]string{
		"GATEHOUSE_MODEL": "openai/stub", "OPENAI_BASE_URL": model.URL + "/v1", "OPENAI_API_KEY": "any",
		"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
	})
	s := i.SignUp(t, "traced@example.com")
	assistant := i.Create(t, s, "/v1/assistants", map[string]string{"displayName": "Guide"})
	conversation := i.Create(t, s, "/v1/conversations", map[string]string{"title": "Traced"})
	var started struct{ Run struct{ ID string } }
	inprocess.Decode(t, i.RequestWith(t, s, http.MethodPost, "/v1/conversations/"+conversation+"/messages",
		map[string]string{"content": secret, "assistantId": assistant}, map[string]string{"Traceparent": "00-" + trace + "-00f067aa0ba902b7-01"}), &started)
	if n := i.Drain(t, s, "/v1/runs/"+started.Run.ID+"/events"); n == 0 {
		t.Fatal("the run has no events")
	}
	wanted := map[string]func(*tracev1.Span) bool{
		"the gateway":       named(tracev1.Span_SPAN_KIND_SERVER, "POST /v1/conversations"),
		"the RPC to chat":   named(tracev1.Span_SPAN_KIND_SERVER, "gatehouse.chat.v1.ConversationService/StartMessage"),
		"the RPC to others": named(tracev1.Span_SPAN_KIND_SERVER, "gatehouse.management.v1.AssistantDirectoryService/ResolveAssistant"),
		"SQL":               attributed("db.system.name"),
		"the model":         attributed("gen_ai.request.model"),
	}
	missing := waitFor(t, collected, wanted)
	for _, name := range missing {
		t.Errorf("the trace lacks %s", name)
	}
	collected.mu.Lock()
	for _, span := range collected.spans { // signing up is another trace
		if text := span.String(); strings.Contains(text, s.AccessToken) || strings.Contains(text, inprocess.AdminPassword) {
			t.Errorf("a span contains a password or a token: %v", span)
		}
	}
	collected.mu.Unlock()
	for _, span := range collected.spansOf(trace) {
		if strings.Contains(span.String(), secret) {
			t.Errorf("a span contains the question: %v", span)
		}
		if len(missing) > 0 {
			t.Logf("%v %s %v", span.GetKind(), span.GetName(), span.GetAttributes())
		}
	}
}

// waitFor waits until the trace has all wanted spans, and returns the names of those that are
// missing after 30 seconds. The exporter sends spans in batches, a few seconds apart.
func waitFor(t *testing.T, c *collector, wanted map[string]func(*tracev1.Span) bool) []string {
	t.Helper()
	ticker, deadline := time.NewTicker(50*time.Millisecond), time.After(30*time.Second)
	defer ticker.Stop()
	for {
		var missing []string
		for name, is := range wanted {
			if !contains(c.spansOf(trace), is) {
				missing = append(missing, name)
			}
		}
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-ticker.C:
		case <-deadline:
			return missing
		}
	}
}

func contains(spans []*tracev1.Span, is func(*tracev1.Span) bool) bool {
	for _, span := range spans {
		if is(span) {
			return true
		}
	}
	return false
}

func named(kind tracev1.Span_SpanKind, name string) func(*tracev1.Span) bool {
	return func(span *tracev1.Span) bool { return span.GetKind() == kind && strings.Contains(span.GetName(), name) }
}

func attributed(key string) func(*tracev1.Span) bool {
	return func(span *tracev1.Span) bool {
		for _, a := range span.GetAttributes() {
			if a.GetKey() == key {
				return true
			}
		}
		return false
	}
}
