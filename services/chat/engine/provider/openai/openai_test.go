package openai_test

import (
	"context"
	"net"
	"net/http"
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

type bundle struct {
	stub   *modelstub.Server
	server *httptest.Server
	model  model.Model
	text   strings.Builder
}

// setup starts a stub with a script, and returns a model that calls it. Retries wait a
// millisecond at most, by the system clock.
func setup(t *testing.T, change func(*openai.Options), replies ...modelstub.Reply) *bundle {
	t.Helper()
	b := &bundle{stub: modelstub.New(modelstub.Options{Script: replies})}
	b.server = httptest.NewServer(b.stub)
	t.Cleanup(b.server.Close)
	options := openai.Options{
		BaseURL: b.server.URL + "/v1", APIKey: "k", Clock: clock.System(), Tracer: noop.NewTracerProvider().Tracer(""),
		Retry: model.RetryPolicy{Tries: 3, Base: time.Millisecond, MaxWait: 2 * time.Second},
	}
	if change != nil {
		change(&options)
	}
	provider, err := openai.New(options)
	if err != nil {
		t.Fatal(err)
	}
	if b.model, err = provider.Model("m"); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bundle) stream(ctx context.Context, req model.Request) (model.Result, error) {
	if req.Messages == nil {
		req.Messages = []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "hello")}
	}
	return b.model.Stream(ctx, req, func(d model.Delta) error {
		b.text.WriteString(d.Text)
		return nil
	})
}

func TestStream_Text_ArrivesCompletely(t *testing.T) {
	t.Parallel()

	t.Run("text arrives in deltas, with finish and usage", func(t *testing.T) {
		t.Parallel()
		b := setup(t, nil, modelstub.Reply{Text: []string{"Grüß", " dich", " 🙂"}, Reasoning: []string{"hm"}, ReasoningField: "reasoning"})
		result, err := b.stream(t.Context(), model.Request{})
		if err != nil {
			t.Fatal(err)
		}
		if b.text.String() != "Grüß dich 🙂" || result.Text != b.text.String() {
			t.Errorf("text %q, result %q", b.text.String(), result.Text)
		}
		if result.Finish != model.FinishStop || result.Usage.OutputTokens != 4 || result.Usage.Estimated || result.Model != "openai/m" {
			t.Errorf("result %+v", result)
		}
	})

	t.Run("the usage is estimated when the server does not count", func(t *testing.T) {
		t.Parallel()
		b := setup(t, nil, modelstub.Reply{Text: []string{"abcdefgh"}, NoUsage: true})
		result, err := b.stream(t.Context(), model.Request{})
		if err != nil {
			t.Fatal(err)
		}
		if want := (model.Usage{InputTokens: 2, OutputTokens: 2, Estimated: true}); result.Usage != want {
			t.Errorf("usage %+v, want %+v", result.Usage, want)
		}
	})

	t.Run("text that looks like a tool call is text", func(t *testing.T) {
		t.Parallel()
		lookalike := `[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]`
		b := setup(t, nil, modelstub.Reply{Text: []string{lookalike}, ToolCalls: []modelstub.ToolCall{{ID: "a", Name: "f", Arguments: "{}"}}})
		result, err := b.stream(t.Context(), model.Request{})
		if err != nil {
			t.Fatal(err)
		}
		if b.text.String() != lookalike || len(result.ToolCalls) != 1 {
			t.Errorf("text %q, calls %v", b.text.String(), result.ToolCalls)
		}
	})

	t.Run("content that is longer than a line is complete", func(t *testing.T) {
		t.Parallel()
		long := strings.Repeat("<ä>", 60_000)
		b := setup(t, nil, modelstub.Reply{Text: []string{long}, ToolCalls: []modelstub.ToolCall{{ID: "a", Name: "f", Arguments: `{"x":"` + long[:200_000] + `"}`}}})
		result, err := b.stream(t.Context(), model.Request{})
		if err != nil {
			t.Fatal(err)
		}
		if b.text.String() != long {
			t.Errorf("text differs: %d bytes of %d", b.text.Len(), len(long))
		}
		if len(result.ToolCalls) != 1 || result.ToolCalls[0].Arguments != `{"x":"`+long[:200_000]+`"}` {
			t.Errorf("arguments differ")
		}
	})

	t.Run("connections are reused", func(t *testing.T) {
		t.Parallel()
		stub := modelstub.New(modelstub.Options{})
		server := httptest.NewUnstartedServer(stub)
		opened := make(chan struct{}, 16)
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened <- struct{}{}
			}
		}
		server.Start()
		t.Cleanup(server.Close)
		b := setup(t, func(o *openai.Options) { o.BaseURL = server.URL + "/v1" })
		for range 5 {
			if _, err := b.stream(t.Context(), model.Request{}); err != nil {
				t.Fatal(err)
			}
		}
		if len(opened) != 1 {
			t.Errorf("%d connections for 5 calls", len(opened))
		}
	})
}

func TestStream_ToolCallsInFragments_AreComplete(t *testing.T) {
	t.Parallel()
	calls := []modelstub.ToolCall{
		{ID: "c1", Name: "calculator", Arguments: `{"expression":"1+1"}`},
		{ID: "c2", Name: "knowledge_search", Arguments: `{"query":"größe"}`},
		{ID: "c3", Name: "nothing", Arguments: ""},
	}
	styles := map[string]modelstub.ToolStyle{
		"sequential": modelstub.Sequential, "interleaved": modelstub.Interleaved, "type repeated": modelstub.RepeatedType,
		"empty first": modelstub.EmptyFirst, "index zero": modelstub.IndexZero,
	}
	for name, style := range styles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil, modelstub.Reply{Text: []string{"One moment."}, ToolCalls: calls, ToolStyle: style})
			result, err := b.stream(t.Context(), model.Request{})
			if err != nil {
				t.Fatal(err)
			}
			want := []model.ToolCall{
				{ID: "c1", Name: "calculator", Arguments: `{"expression":"1+1"}`},
				{ID: "c2", Name: "knowledge_search", Arguments: `{"query":"größe"}`},
				{ID: "c3", Name: "nothing", Arguments: "{}"},
			}
			if len(result.ToolCalls) != len(want) {
				t.Fatalf("calls %+v", result.ToolCalls)
			}
			for i := range want {
				if result.ToolCalls[i] != want[i] {
					t.Errorf("call %d is %+v, want %+v", i, result.ToolCalls[i], want[i])
				}
			}
			if b.text.String() != "One moment." || result.Finish != model.FinishToolCalls {
				t.Errorf("text %q, finish %q", b.text.String(), result.Finish)
			}
		})
	}
}

func TestStream_Failures_AreFaults(t *testing.T) {
	t.Parallel()
	const (
		unavailable = faultv1.Reason_REASON_PROVIDER_UNAVAILABLE
		limited     = faultv1.Reason_REASON_PROVIDER_RATE_LIMITED
		broken      = faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM
	)
	refuse := func(status int, e modelstub.Error) modelstub.Reply { return modelstub.Reply{Status: status, Error: e} }
	cases := map[string]struct {
		reply  modelstub.Reply
		reason faultv1.Reason
		text   string
		tries  int
	}{
		"401":                   {refuse(401, modelstub.Error{}), faultv1.Reason_REASON_PROVIDER_AUTHENTICATION, "", 1},
		"400":                   {refuse(400, modelstub.Error{Message: "bad"}), faultv1.Reason_REASON_PROVIDER_REJECTED, "", 1},
		"404":                   {refuse(404, modelstub.Error{}), faultv1.Reason_REASON_PROVIDER_REJECTED, "", 1},
		"too long":              {refuse(400, modelstub.Error{Message: "x", Code: "context_length_exceeded"}), faultv1.Reason_REASON_PROVIDER_CONTEXT_TOO_LONG, "", 1},
		"500":                   {refuse(500, modelstub.Error{}), unavailable, "", 3},
		"502 with garbage":      {modelstub.Reply{Status: 502, RawBody: "<html>"}, unavailable, "", 3},
		"504":                   {refuse(504, modelstub.Error{}), unavailable, "", 3},
		"429":                   {refuse(429, modelstub.Error{}), limited, "", 3},
		"429, very long":        {modelstub.Reply{Status: 429, RetryAfter: time.Hour}, limited, "", 1},
		"quota":                 {refuse(429, modelstub.Error{Message: "x", Code: "insufficient_quota"}), limited, "", 1},
		"200 with garbage":      {modelstub.Reply{RawBody: "<html>hello</html>"}, broken, "", 3},
		"redirect":              {modelstub.Reply{Status: 302, RawBody: "elsewhere"}, faultv1.Reason_REASON_PROVIDER_REJECTED, "", 1},
		"error event at once":   {modelstub.Reply{Text: []string{"a"}, Break: modelstub.ErrorEvent}, broken, "", 3},
		"a later error event":   {modelstub.Reply{Text: []string{"a", "b"}, Break: modelstub.ErrorEvent, BreakAfter: 1}, broken, "a", 1},
		"reset at once":         {modelstub.Reply{Text: []string{"a"}, Break: modelstub.Reset}, broken, "", 3},
		"a later reset":         {modelstub.Reply{Text: []string{"a", "b"}, Break: modelstub.Reset, BreakAfter: 1}, broken, "a", 1},
		"a clean end too early": {modelstub.Reply{Text: []string{"a", "b"}, Break: modelstub.CleanEOF, BreakAfter: 1}, broken, "a", 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil, c.reply, c.reply, c.reply, modelstub.Reply{Text: []string{"never"}})
			result, err := b.stream(t.Context(), model.Request{})
			if !fault.Is(err, c.reason) {
				t.Fatalf("error %v, want %v", err, c.reason)
			}
			if b.text.String() != c.text || result.Text != c.text {
				t.Errorf("text %q, result %q, want %q", b.text.String(), result.Text, c.text)
			}
			if tries := len(b.stub.Requests()); tries != c.tries {
				t.Errorf("%d attempts, want %d", tries, c.tries)
			}
			if strings.Contains(fault.From(err).Detail(), b.server.Listener.Addr().String()) {
				t.Errorf("the detail names the host: %s", fault.From(err).Detail())
			}
		})
	}

	t.Run("a server that cannot be reached", func(t *testing.T) {
		t.Parallel()
		b := setup(t, nil)
		b.server.Close()
		if _, err := b.stream(t.Context(), model.Request{}); !fault.Is(err, unavailable) {
			t.Fatalf("error %v", err)
		}
	})

	t.Run("a temporary failure is retried", func(t *testing.T) {
		t.Parallel()
		b := setup(t, nil, modelstub.Reply{Status: 500}, modelstub.Reply{Status: 429, RetryAfter: time.Second}, modelstub.Reply{Text: []string{"fine"}})
		result, err := b.stream(t.Context(), model.Request{})
		if err != nil || result.Text != "fine" {
			t.Fatalf("result %+v, %v", result, err)
		}
	})
}
