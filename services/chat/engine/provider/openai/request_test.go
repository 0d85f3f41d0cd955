package openai_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tmc/langchaingo/llms"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
	"github.com/gatehouse/gatehouse/services/chat/engine/provider/openai"
)

func TestStream_Canceled_IsAFault(t *testing.T) {
	t.Parallel()

	t.Run("a canceled stream never counts as complete", func(t *testing.T) {
		t.Parallel()
		for range 30 {
			hold := make(chan struct{})
			b := setup(t, nil, modelstub.Reply{Text: []string{"a", "b"}, Hold: hold, HoldAfter: 1})
			ctx, cancel := context.WithCancel(t.Context())
			result, err := b.model.Stream(ctx, model.Request{Messages: []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "x")}},
				func(model.Delta) error { cancel(); return nil })
			close(hold)
			if !fault.Is(err, faultv1.Reason_REASON_CANCELLED) || !strings.HasPrefix("ab", result.Text) {
				t.Fatalf("result %+v, %v", result, err)
			}
		}
	})

	t.Run("the fault of the deadline is DEADLINE_EXCEEDED", func(t *testing.T) {
		t.Parallel()
		hold := make(chan struct{})
		b := setup(t, func(o *openai.Options) { o.Timeout = 50 * time.Millisecond }, modelstub.Reply{Text: []string{"a", "b"}, Hold: hold, HoldAfter: 1})
		result, err := b.stream(t.Context(), model.Request{})
		close(hold)
		if !fault.Is(err, faultv1.Reason_REASON_DEADLINE_EXCEEDED) || result.Text != "a" {
			t.Fatalf("result %+v, %v", result, err)
		}
	})

	t.Run("an error of the reader ends the call and is returned", func(t *testing.T) {
		t.Parallel()
		stop := errors.New("stop")
		b := setup(t, nil, modelstub.Reply{Text: []string{"a", "b"}})
		_, err := b.model.Stream(t.Context(), model.Request{Messages: []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "x")}},
			func(model.Delta) error { return stop })
		if !errors.Is(err, stop) {
			t.Fatalf("error %v", err)
		}
	})
}

func TestStream_Parameters_AreSentWhenGiven(t *testing.T) {
	t.Parallel()
	value := func(v float64) *float64 { return &v }

	t.Run("parameters are sent only when the request has them", func(t *testing.T) {
		t.Parallel()
		b := setup(t, nil, modelstub.Reply{}, modelstub.Reply{})
		if _, err := b.stream(t.Context(), model.Request{}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.stream(t.Context(), model.Request{Temperature: value(0), TopP: value(0.5), MaxTokens: 7}); err != nil {
			t.Fatal(err)
		}
		requests := b.stub.Requests()
		for _, field := range []string{"temperature", "top_p", "max_completion_tokens"} {
			if _, there := requests[0].Field(field); there {
				t.Errorf("%s was sent without a value", field)
			}
			if _, there := requests[1].Field(field); !there {
				t.Errorf("%s was not sent", field)
			}
		}
	})

	t.Run("reasoning models receive no sampling parameters", func(t *testing.T) {
		t.Parallel()
		stub := modelstub.New(modelstub.Options{})
		server := httptest.NewServer(stub)
		t.Cleanup(server.Close)
		provider, err := openai.New(openai.Options{BaseURL: server.URL + "/v1", Clock: clock.System(), Tracer: noop.NewTracerProvider().Tracer(""), LegacyMaxTokens: true})
		if err != nil {
			t.Fatal(err)
		}
		m, err := provider.Model("o4-mini")
		if err != nil {
			t.Fatal(err)
		}
		messages := []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "x")}
		if _, err := m.Stream(t.Context(), model.Request{Messages: messages, Temperature: value(1), MaxTokens: 5}, func(model.Delta) error { return nil }); err != nil {
			t.Fatal(err)
		}
		request := stub.Requests()[0]
		if _, there := request.Field("temperature"); there {
			t.Error("temperature was sent")
		}
		if limit, _ := request.Field("max_tokens"); string(limit) != "5" {
			t.Errorf("max_tokens is %s", limit)
		}
		if request.Header.Get("Authorization") != "" {
			t.Error("a key was sent although there is none")
		}
	})
}
