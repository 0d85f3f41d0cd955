package obs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/gatehouse/gatehouse/platform/obs"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

func open(t *testing.T, processors ...sdktrace.SpanProcessor) (*obs.Telemetry, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	telemetry, err := obs.New(t.Context(), obs.Config{LogLevel: "info", TraceRatio: 1}, "test", "v0", true, &out, processors...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := telemetry.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return telemetry, &out
}

func TestS74LogContainsNoSecret(t *testing.T) {
	t.Parallel()
	telemetry, out := open(t)
	telemetry.Log.Info("signed in", "password", "hunter2", "refresh_token", "hunter2",
		slog.Group("http", "authorization", "Bearer hunter2"),
		"request", obs.Redacted{Message: &authv1.SignInRequest{Email: "a@example.com", Password: "hunter2"}})
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("the log contains the secret: %s", out)
	}
	if !strings.Contains(out.String(), "a@example.com") {
		t.Errorf("the log hides a value that is not secret: %s", out)
	}
}

func TestLog_ContextWithSpan_LineHasItsIDs(t *testing.T) {
	t.Parallel()
	telemetry, out := open(t, tracetest.NewSpanRecorder())
	ctx, span := telemetry.Tracer.Tracer("test").Start(t.Context(), "work")
	defer span.End()
	telemetry.Log.InfoContext(ctx, "at work")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line["trace_id"] != span.SpanContext().TraceID().String() {
		t.Errorf("the line's trace id is %v", line["trace_id"])
	}
}

func TestMetrics_HaveSemanticNames(t *testing.T) {
	t.Parallel()
	telemetry, _ := open(t)
	histogram, err := telemetry.Meter.Meter("test").Float64Histogram("rpc.server.call.duration", metric.WithUnit("s"))
	if err != nil {
		t.Fatal(err)
	}
	histogram.Record(t.Context(), 0.1)
	recorder := httptest.NewRecorder()
	telemetry.Metrics.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if !strings.Contains(recorder.Body.String(), "rpc_server_call_duration_seconds_bucket") {
		t.Errorf("not found in:\n%s", recorder.Body)
	}
}

func TestValidate_SeveralProblems_NamesEachSetting(t *testing.T) {
	t.Parallel()
	err := obs.Config{LogFormat: "xml", LogLevel: "loud", TraceRatio: 2}.Validate()
	for _, want := range []string{"GATEHOUSE_LOG_FORMAT", "GATEHOUSE_LOG_LEVEL", "GATEHOUSE_TRACE_RATIO"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}
