// Package engine generates the answer to a message. It runs an agent: a loop of calls of a model and of
// tools, within a budget. It emits events during the loop.
//
// It depends on no provider, no HTTP and no database. Models are found in a
// [model.Registry], and tools are of type [tool.Tool]. The caller receives the events
// through an [Emitter], and stores the [Outcome].
//
// # Guarantees for every run
//
//   - The concatenation of all MessageDelta texts is Outcome.Content, also when the run
//     fails or is canceled. Text that a reader has seen is never revoked.
//   - A Citation event is emitted before the delta with its marker "[n]". The number n is the
//     citation's index, which counts from 1 in the order of appearance. Models number
//     passages in other ways, so the engine changes the numbers.
//   - The quote of a citation is a verbatim part of the document at its offsets. It is the
//     sentence of the cited passage that supports the citing sentence: the same sentence
//     when the model quotes, and the most similar one when it paraphrases.
//   - A marker for which there is no passage is removed from the text, and the answer has the
//     flag UNGROUNDED. Text in code is not changed, because brackets are an index there.
//   - Every tool.started is followed by its tool.finished, unless the run is canceled.
//
// # Retrieval
//
// The engine does not search by itself. It gives every model the tool knowledge_search, and
// the prompt requires its use before facts are stated. So a greeting costs no search, the
// model can write a good query for a follow-up question, and it can search again. The model
// receives the results of a search as data, in JSON.
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
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

// Budget bounds a run. A zero field has its default.
type Budget struct {
	// Steps is the number of calls of the model. The last call has no tools, so that the
	// model must answer. 6 by default.
	Steps int
	// ToolCalls is the number of calls of tools. Later calls of the model have no tools. 16
	// by default.
	ToolCalls int
	// Time bounds the whole run; five minutes by default.
	Time time.Duration
	// ToolTime bounds each call of a tool; 30 seconds by default.
	ToolTime time.Duration
	// Tokens is the sum of input and output after which calls of the model have no tools;
	// 100,000 by default.
	Tokens int64
	// HistoryTokens is the estimated number of tokens of the conversation that are sent,
	// newest first; 12,000 by default.
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

// Deps is what an engine needs.
type Deps struct {
	Models *model.Registry
	// Tools are the tools that models may use. An assistant may have fewer.
	Tools  []tool.Tool `deps:"optional"`
	Clock  clock.Clock
	Tracer trace.Tracer
	Budget Budget
}

// Engine answers messages. It keeps no state between runs and is safe for concurrent use.
type Engine struct {
	deps  Deps
	agent Agent
	tools map[string]tool.Tool
}

// New returns an engine. It refuses a tool that needs approval, because the loop cannot wait
// for one.
func New(d Deps) (*Engine, error) {
	if err := deps.Check("engine", d); err != nil {
		return nil, err
	}
	d.Budget = d.Budget.withDefaults()
	e := &Engine{deps: d, agent: Generator(), tools: make(map[string]tool.Tool, len(d.Tools))}
	for _, t := range d.Tools {
		if _, twice := e.tools[t.Name()]; twice || t.Risk() == tool.RiskWrite || !json.Valid(t.Schema()) {
			return nil, fault.New(faultv1.Reason_REASON_INTERNAL, "The tool %q is listed twice, needs approval, or has no valid schema.", t.Name())
		}
		e.tools[t.Name()] = t
	}
	return e, nil
}

// Run generates the answer to the last message of a conversation. With an error it also returns the outcome
// until then: text, citations and usage. Errors are faults; the fault of a canceled context
// is CANCELLED.
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

// available returns the tools of a run, in the engine's order.
func (e *Engine) available(req Request) []llms.Tool {
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
