package engine_test

import (
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/services/chat/engine"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
	"github.com/gatehouse/gatehouse/services/chat/engine/provider/openai"
)

// BenchmarkRun measures a run of 500 tokens through the provider and the citer, including the
// server.
func BenchmarkRun(b *testing.B) {
	const tokens = 500
	server := httptest.NewServer(modelstub.New(modelstub.Options{Default: modelstub.Echo(tokens, 0)}))
	defer server.Close()
	tracer := noop.NewTracerProvider().Tracer("")
	provider, err := openai.New(openai.Options{BaseURL: server.URL + "/v1", Clock: clock.System(), Tracer: tracer})
	if err != nil {
		b.Fatal(err)
	}
	registry, err := model.NewRegistry("openai/m", map[string]model.Provider{"openai": provider})
	if err != nil {
		b.Fatal(err)
	}
	e, err := engine.New(engine.Deps{Models: registry, Clock: clock.System(), Tracer: tracer})
	if err != nil {
		b.Fatal(err)
	}
	request := engine.Request{History: []engine.Turn{{Role: engine.RoleUser, Content: "one two three four"}}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := e.Run(b.Context(), request, &recorder{}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N*tokens)/b.Elapsed().Seconds(), "tokens/s")
}
