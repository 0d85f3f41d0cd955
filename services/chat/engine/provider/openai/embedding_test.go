package openai_test

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
	"github.com/gatehouse/gatehouse/services/chat/engine/provider/openai"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
)

func embedder(t *testing.T, dimensions int, options modelstub.Options) (embed.Embedder, *modelstub.Server) {
	t.Helper()
	stub := modelstub.New(options)
	server := httptest.NewServer(stub)
	t.Cleanup(server.Close)
	provider, err := openai.New(openai.Options{
		BaseURL: server.URL + "/v1", Clock: clock.System(), Tracer: noop.NewTracerProvider().Tracer(""),
		Retry: model.RetryPolicy{Tries: 2, Base: time.Millisecond, MaxWait: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	return provider.Embedder("e", dimensions), stub
}

func TestEmbedder_Embed_KeepsOrderAndRetries(t *testing.T) {
	t.Parallel()

	t.Run("vectors have the order of the texts, over batches and shuffled responses", func(t *testing.T) {
		t.Parallel()
		e, stub := embedder(t, 8, modelstub.Options{Dimensions: 8, ShuffleEmbeddings: true})
		var texts []string
		for i := range 150 {
			texts = append(texts, fmt.Sprintf("text %d", i))
		}
		vectors, err := e.Embed(t.Context(), texts)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range texts {
			want := modelstub.Vector(text, 8)
			for j := range want {
				if d := vectors[i][j] - want[j]; d > 1e-6 || d < -1e-6 {
					t.Fatalf("the vector of %q is another's", text)
				}
			}
		}
		if n := len(stub.Requests()); n != 3 {
			t.Errorf("%d requests for 150 texts", n)
		}
		if e.Version() != "openai/e/8" {
			t.Errorf("version %q", e.Version())
		}
	})

	t.Run("failures are faults, and temporary ones are retried", func(t *testing.T) {
		t.Parallel()
		e, stub := embedder(t, 64, modelstub.Options{Script: []modelstub.Reply{{Status: 503}}})
		if _, err := e.Embed(t.Context(), []string{"a"}); err != nil {
			t.Fatal(err)
		}
		stub.Enqueue(modelstub.Reply{Status: 401})
		if _, err := e.Embed(t.Context(), []string{"a"}); !fault.Is(err, faultv1.Reason_REASON_PROVIDER_AUTHENTICATION) {
			t.Errorf("error %v", err)
		}
		stub.Enqueue(modelstub.Reply{RawBody: `{"data":[]}`}, modelstub.Reply{RawBody: "garbage"})
		if _, err := e.Embed(t.Context(), []string{"a"}); !fault.Is(err, faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM) {
			t.Errorf("error %v", err)
		}
	})

	t.Run("another length than configured is not retried", func(t *testing.T) {
		t.Parallel()
		e, stub := embedder(t, 3, modelstub.Options{Dimensions: 8})
		if _, err := e.Embed(t.Context(), []string{"a"}); !fault.Is(err, faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM) {
			t.Errorf("error %v", err)
		}
		if n := len(stub.Requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}
