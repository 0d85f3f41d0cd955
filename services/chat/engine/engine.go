// Package engine answers a message: it picks an agent, runs the loop of model and tools
// within a budget, and tells what happens as it happens.
//
// It knows no provider, no HTTP and no database. Models come from a [model.Registry],
// tools are [tool.Tool]s, and whoever runs it takes the events through an [Emitter] and
// keeps the [Outcome].
//
// # What holds for every run
//
//   - The concatenation of all MessageDelta texts is Outcome.Content, also when the run
//     fails or is cancelled: text that a reader saw is never taken back.
//   - A Citation event comes before the delta that holds its marker "[n]", and n is its
//     index, counted from 1 in the order of appearance. Models number passages their own
//     way; the engine renumbers.
//   - A citation's quote stands verbatim in the document at its offsets. It is the sentence
//     of the cited passage that says what the citing sentence says: that very sentence
//     where the model quotes, the most similar one where it paraphrases.
//   - A marker for which there is no passage is removed from the text, and the answer is
//     flagged UNGROUNDED. Code is left alone: what looks like a marker in it is an index.
//   - Every tool.started is followed by its tool.finished, unless the run is cancelled.
//
// # Retrieval
//
// The engine does not search on its own account. Every model is offered knowledge_search and
// told to use it before it states facts; so a greeting costs no search, a follow-up is searched
// in words that make sense, and a second search is possible. What is found is put to the model
// as data, as JSON, in the tool's result.
package engine

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tmc/langchaingo/llms"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

// Budget bounds a run. A zero field takes its default.
type Budget struct {
	// Steps is the number of calls of the model; the last one is offered no tools, so that
	// it must answer. 6 by default.
	Steps int
	// ToolCalls is the number of calls of tools; beyond it none are offered. 16 by default.
	ToolCalls int
	// Time bounds the whole run; five minutes by default.
	Time time.Duration
	// ToolTime bounds each call of a tool; 30 seconds by default.
	ToolTime time.Duration
	// Tokens is the sum of input and output beyond which no more tools are offered; 100,000
	// by default.
	Tokens int64
	// HistoryTokens is how much of the conversation is sent along, newest first; 12,000 by
	// default, by estimate.
	HistoryTokens int64
}

func (b Budget) withDefaults() Budget {
	if b.Steps <= 0 {
		b.Steps = 6
	}
	if b.ToolCalls <= 0 {
		b.ToolCalls = 16
	}
	if b.Time <= 0 {
		b.Time = 5 * time.Minute
	}
	if b.ToolTime <= 0 {
		b.ToolTime = 30 * time.Second
	}
	if b.Tokens <= 0 {
		b.Tokens = 100_000
	}
	if b.HistoryTokens <= 0 {
		b.HistoryTokens = 12_000
	}
	return b
}

// Deps is what an engine is made of.
type Deps struct {
	Models *model.Registry
	// Tools may be offered to models; an assistant may have fewer.
	Tools  []tool.Tool
	Clock  clock.Clock
	Tracer trace.Tracer
	Budget Budget
}

// Engine answers messages. It keeps nothing between runs and is safe for concurrent use.
type Engine struct {
	deps  Deps
	agent Agent
	tools map[string]tool.Tool
}

// New makes an engine. A tool that needs approval is refused: the loop has no way to wait
// for it.
func New(deps Deps) (*Engine, error) {
	if deps.Models == nil || deps.Clock == nil || deps.Tracer == nil {
		return nil, fault.New(faultv1.Reason_REASON_INTERNAL, "The engine needs models, a clock and a tracer.")
	}
	deps.Budget = deps.Budget.withDefaults()
	e := &Engine{deps: deps, agent: Generator(), tools: make(map[string]tool.Tool, len(deps.Tools))}
	for _, t := range deps.Tools {
		if _, twice := e.tools[t.Name()]; twice || t.Risk() == tool.RiskWrite || !json.Valid(t.Schema()) {
			return nil, fault.New(faultv1.Reason_REASON_INTERNAL, "The tool %q is there twice, needs approval, or has no valid schema.", t.Name())
		}
		e.tools[t.Name()] = t
	}
	return e, nil
}

// Run answers the last message of a conversation. On an error the outcome holds what there
// was until then: text, citations and usage. Errors are faults; a cancelled context gives
// CANCELLED.
func (e *Engine) Run(ctx context.Context, req Request, out Emitter) (Outcome, error) {
	if err := req.validate(); err != nil {
		return Outcome{}, err
	}
	m, err := e.deps.Models.Model(req.Assistant.Model, req.Assistant.FallbackModels...)
	if err != nil {
		return Outcome{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.deps.Budget.Time)
	defer cancel()
	ctx, span := e.deps.Tracer.Start(ctx, "invoke_agent "+e.agent.Name, trace.WithAttributes(
		attribute.String("gen_ai.operation.name", "invoke_agent"), attribute.String("gen_ai.agent.name", e.agent.Name)))
	defer span.End()
	ledger := &ledger{}
	r := &run{
		engine: e, request: req, model: m, out: out, ledger: ledger, callIDs: make(map[string]bool),
		citer: &citer{out: out, ledger: ledger}, outcome: Outcome{Model: m.Name()},
	}
	err = r.loop(ctx)
	if err != nil {
		err = fault.From(err)
		span.SetStatus(codes.Error, fault.From(err).Name())
	}
	return r.close(), err
}

// offered returns the tools of a run, in the engine's order.
func (e *Engine) offered(req Request) []llms.Tool {
	var tools []llms.Tool
	for _, t := range e.deps.Tools {
		if req.has(t.Name()) && e.agent.has(t.Name()) {
			tools = append(tools, llms.Tool{Type: "function", Function: &llms.FunctionDefinition{
				Name: t.Name(), Description: t.Description(), Parameters: t.Schema(),
			}})
		}
	}
	return tools
}
