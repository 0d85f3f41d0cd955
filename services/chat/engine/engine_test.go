package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/services/chat/engine"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
	"github.com/gatehouse/gatehouse/services/chat/engine/provider/local"
	"github.com/gatehouse/gatehouse/services/chat/engine/provider/openai"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

const document = "# Leave\n\nStaff have 30 days of leave a year. Leave expires on 31 March.\n"

// searcher finds the document, or nothing, or fails.
type searcher struct {
	err  error
	none bool
}

func (s searcher) Search(context.Context, tool.Caller, string, int) ([]tool.Passage, error) {
	if s.err != nil || s.none {
		return nil, s.err
	}
	return []tool.Passage{{DocumentID: "d1", ChunkID: "c1", Title: "Handbook", Text: document, EndOffset: utf8.RuneCountInString(document)}}, nil
}

// recorder records the events of a run.
type recorder struct {
	events []engine.Event
	each   func(engine.Event) error
}

func (r *recorder) Emit(_ context.Context, event engine.Event) error {
	r.events = append(r.events, event)
	if r.each != nil {
		return r.each(event)
	}
	return nil
}

func (r *recorder) text() string {
	var b strings.Builder
	for _, event := range r.events {
		if delta, ok := event.(engine.MessageDelta); ok {
			b.WriteString(delta.Text)
		}
	}
	return b.String()
}

// kinds returns the kinds of the events in order. Consecutive deltas count as one.
func (r *recorder) kinds() string {
	var kinds []string
	for _, event := range r.events {
		kind := "?"
		switch event.(type) {
		case engine.AgentSelected:
			kind = "agent"
		case engine.ToolStarted:
			kind = "started"
		case engine.ToolFinished:
			kind = "finished"
		case engine.Citation:
			kind = "citation"
		case engine.MessageDelta:
			kind = "delta"
		}
		if len(kinds) == 0 || kind != "delta" || kinds[len(kinds)-1] != "delta" {
			kinds = append(kinds, kind)
		}
	}
	return strings.Join(kinds, " ")
}

type bundle struct {
	engine *engine.Engine
	stub   *modelstub.Server
	out    *recorder
}

func setup(t *testing.T, s searcher, budget engine.Budget, replies ...modelstub.Reply) *bundle {
	t.Helper()
	b := &bundle{stub: modelstub.New(modelstub.Options{Script: replies}), out: &recorder{}}
	server := httptest.NewServer(b.stub)
	t.Cleanup(server.Close)
	tracer := noop.NewTracerProvider().Tracer("")
	provider, err := openai.New(openai.Options{BaseURL: server.URL + "/v1", Clock: clock.System(), Tracer: tracer, Retry: model.RetryPolicy{Tries: 1}})
	if err != nil {
		t.Fatal(err)
	}
	registry, err := model.NewRegistry("local/extractive", map[string]model.Provider{"local": local.New(local.Options{}), "openai": provider})
	if err != nil {
		t.Fatal(err)
	}
	b.engine, err = engine.New(engine.Deps{
		Models: registry, Tools: []tool.Tool{tool.KnowledgeSearch(s), tool.Calculator()}, Tracer: tracer, Budget: budget,
		Clock: clock.NewFake(time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bundle) run(ctx context.Context, assistant engine.Assistant, texts ...string) (engine.Outcome, error) {
	var history []engine.Turn
	for i, text := range texts {
		role := engine.RoleUser
		if i%2 == 1 {
			role = engine.RoleAssistant
		}
		history = append(history, engine.Turn{Role: role, Content: text})
	}
	return b.engine.Run(ctx, engine.Request{History: history, Assistant: assistant}, b.out)
}

// checkOutcome checks the guarantees for every run.
func checkOutcome(t *testing.T, b *bundle, outcome engine.Outcome) {
	t.Helper()
	if b.out.text() != outcome.Content {
		t.Errorf("deltas %q, content %q", b.out.text(), outcome.Content)
	}
	for _, c := range outcome.Citations {
		if got := string([]rune(document)[c.StartOffset:c.EndOffset]); got != c.Quote {
			t.Errorf("quote %q, document %q", c.Quote, got)
		}
	}
}

var stubModel = engine.Assistant{Model: "openai/m"}

func search(query string) []modelstub.ToolCall {
	return []modelstub.ToolCall{{ID: "c", Name: tool.KnowledgeSearchName, Arguments: `{"query": "` + query + `"}`}}
}

func TestRun_LocalModel_AnswersOrSearches(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		question, content, kinds string
		flags                    []engine.Flag
	}{
		"a cited answer": {"How many days of leave do staff have?", "From the documents:\n\nStaff have 30 days of leave a year. [1]",
			"agent started finished delta citation delta", []engine.Flag{engine.FlagExtractive}},
		"no answer": {"What is the capital of France?", "I found nothing about this in the knowledge base.",
			"agent started finished delta", []engine.Flag{engine.FlagNoAnswer, engine.FlagExtractive}},
		"a calculation": {"What is 2^10?", "2^10 = 1024", "agent started finished delta", []engine.Flag{engine.FlagExtractive}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, searcher{}, engine.Budget{})
			outcome, err := b.run(t.Context(), engine.Assistant{}, c.question)
			if err != nil {
				t.Fatal(err)
			}
			checkOutcome(t, b, outcome)
			if outcome.Content != c.content || b.out.kinds() != c.kinds || !slices.Equal(outcome.Flags, c.flags) {
				t.Errorf("content %q, events %s, flags %v", outcome.Content, b.out.kinds(), outcome.Flags)
			}
			if outcome.Model != "local/extractive" || !outcome.Usage.Estimated || outcome.Usage.OutputTokens == 0 {
				t.Errorf("outcome %+v", outcome)
			}
		})
	}
}

func TestRun_Model_UsesTools(t *testing.T) {
	t.Parallel()

	t.Run("it searches, receives the passages as data, and is cited", func(t *testing.T) {
		t.Parallel()
		b := setup(t, searcher{}, engine.Budget{},
			modelstub.Reply{Text: []string{"Let me look."}, ToolCalls: search("leave")},
			modelstub.Reply{Text: []string{"You get 30 days of leave ", "[", "1", "]", "."}})
		outcome, err := b.run(t.Context(), engine.Assistant{Model: "openai/m", Instructions: "Be kind."}, "Old?", "Old answer [1].", "How much leave?")
		if err != nil {
			t.Fatal(err)
		}
		checkOutcome(t, b, outcome)
		if outcome.Content != "Let me look.\n\nYou get 30 days of leave [1]." || len(outcome.Citations) != 1 || outcome.Citations[0].Quote != "Staff have 30 days of leave a year." || outcome.Flags != nil {
			t.Errorf("outcome %+v", outcome)
		}
		first, second := b.stub.Requests()[0], b.stub.Requests()[1]
		system := first.Messages[0].Content
		if !strings.Contains(system, "Today is 2026-05-04") || !strings.Contains(system, "Be kind.") || first.Messages[2].Content != "Old answer." {
			t.Errorf("messages %+v", first.Messages)
		}
		last := second.Messages[len(second.Messages)-1]
		if last.Role != "tool" || last.ToolCallID != "c" || !strings.Contains(last.Content, `"[1]"`) || !strings.Contains(last.Content, "30 days") {
			t.Errorf("tool message %+v", last)
		}
		for _, event := range b.out.events {
			if started, ok := event.(engine.ToolStarted); ok && string(started.Arguments) != `{"query":"leave"}` {
				t.Errorf("arguments %s", started.Arguments)
			}
		}
	})

	t.Run("an ungrounded answer has a flag", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{"It is 30 days.", "It is 30 days [5]."} {
			b := setup(t, searcher{}, engine.Budget{}, modelstub.Reply{ToolCalls: search("x")}, modelstub.Reply{Text: []string{text}, Finish: "length"})
			outcome, err := b.run(t.Context(), stubModel, "Leave?")
			if err != nil || outcome.Content != "It is 30 days." || !slices.Equal(outcome.Flags, []engine.Flag{engine.FlagUngrounded, engine.FlagTruncated}) {
				t.Errorf("%+v, %v", outcome, err)
			}
		}
	})

	t.Run("mistakes are returned to the model", func(t *testing.T) {
		t.Parallel()
		calls := []modelstub.ToolCall{
			{ID: "a", Name: "calculator", Arguments: `{"expression":"1/0"}`}, {ID: "a", Name: "calculator", Arguments: `{"expression`}, {ID: "b", Name: "rm", Arguments: "{}"},
		}
		b := setup(t, searcher{}, engine.Budget{}, modelstub.Reply{ToolCalls: calls}, modelstub.Reply{Text: []string{"Sorry."}})
		outcome, err := b.run(t.Context(), stubModel, "1/0?")
		if err != nil || outcome.Content != "Sorry." {
			t.Fatalf("%+v, %v", outcome, err)
		}
		var errs []string
		for _, event := range b.out.events {
			if finished, ok := event.(engine.ToolFinished); ok {
				errs = append(errs, finished.Error)
			}
		}
		if len(errs) == 0 || !strings.Contains(strings.Join(errs, "|"), "Division by zero.") || !strings.Contains(strings.Join(errs, "|"), "no tool of this name") {
			t.Errorf("errors %q", errs)
		}
		messages := b.stub.Requests()[1].Messages
		if last := messages[len(messages)-1]; !json.Valid([]byte(last.Content)) || !strings.Contains(last.Content, `"error"`) {
			t.Errorf("message %+v", last)
		}
	})

	t.Run("the last step has no tools", func(t *testing.T) {
		t.Parallel()
		again := modelstub.Reply{Text: []string{"x"}, ToolCalls: search("x")}
		b := setup(t, searcher{}, engine.Budget{Steps: 3}, again, again, again, again)
		outcome, err := b.run(t.Context(), stubModel, "Leave?")
		if err != nil || outcome.Content != "x\n\nx\n\nx" {
			t.Fatalf("%+v, %v", outcome, err)
		}
		if requests := b.stub.Requests(); len(requests) != 3 || len(requests[2].Tools) != 0 || len(requests[1].Tools) != 2 {
			t.Errorf("%d requests", len(requests))
		}
	})

	t.Run("an assistant without tools has none", func(t *testing.T) {
		t.Parallel()
		b := setup(t, searcher{}, engine.Budget{}, modelstub.Reply{Text: []string{"hi"}})
		if _, err := b.run(t.Context(), engine.Assistant{Model: "openai/m", Tools: []string{}}, "Hello"); err != nil {
			t.Fatal(err)
		}
		if tools := b.stub.Requests()[0].Tools; len(tools) != 0 {
			t.Errorf("tools %v", tools)
		}
	})
}

// S84: the model of a run can neither see nor call a tool that the run must not use.
func TestS84WithheldToolIsNeitherShownNorCalled(t *testing.T) {
	t.Parallel()
	b := setup(t, searcher{}, engine.Budget{}, modelstub.Reply{ToolCalls: search("leave")}, modelstub.Reply{Text: []string{"I do not know."}})
	outcome, err := b.engine.Run(t.Context(), engine.Request{
		History: []engine.Turn{{Role: engine.RoleUser, Content: "How much leave?"}}, Assistant: stubModel,
		Withheld: []string{tool.KnowledgeSearchName},
	}, b.out)
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range b.stub.Requests() {
		if len(request.Tools) != 1 || request.Tools[0] != "calculator" {
			t.Errorf("tools %v", request.Tools)
		}
		for _, message := range request.Messages {
			if strings.Contains(fmt.Sprint(message), "30 days") {
				t.Errorf("the model was sent %v", message)
			}
		}
	}
	if len(outcome.Citations) > 0 {
		t.Errorf("citations %v", outcome.Citations)
	}
}
