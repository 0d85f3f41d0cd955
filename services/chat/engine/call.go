package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/tmc/langchaingo/llms"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

// callTools makes the calls that the model asked for, one after the other, and returns the
// messages that tell it so: its own, then one for each result.
func (r *run) callTools(ctx context.Context, offered []llms.Tool) ([]llms.MessageContent, error) {
	asked := llms.MessageContent{Role: llms.ChatMessageTypeAI}
	if r.last.Text != "" {
		asked.Parts = append(asked.Parts, llms.TextPart(r.last.Text))
	}
	var answers []llms.MessageContent
	for _, call := range r.last.ToolCalls {
		call.ID = r.uniqueID(call.ID)
		arguments, valid := compactObject(call.Arguments)
		asked.Parts = append(asked.Parts, llms.ToolCall{ID: call.ID, Type: "function", FunctionCall: &llms.FunctionCall{Name: call.Name, Arguments: string(arguments)}})
		content, err := r.callTool(ctx, call, arguments, valid, offered)
		if err != nil {
			return nil, err
		}
		answers = append(answers, llms.MessageContent{Role: llms.ChatMessageTypeTool, Parts: []llms.ContentPart{
			llms.ToolCallResponse{ToolCallID: call.ID, Name: call.Name, Content: content},
		}})
	}
	return append([]llms.MessageContent{asked}, answers...), nil
}

// uniqueID keeps a call's id apart from those before it: some models count from one in each
// step.
func (r *run) uniqueID(id string) string {
	unique := id
	for n := 2; unique == "" || r.callIDs[unique]; n++ {
		unique = fmt.Sprintf("%s-%d", id, n)
	}
	r.callIDs[unique] = true
	return unique
}

// compactObject reads arguments as a JSON object.
func compactObject(arguments string) (json.RawMessage, bool) {
	var object map[string]json.RawMessage
	var compact bytes.Buffer
	if json.Unmarshal([]byte(arguments), &object) != nil || object == nil || json.Compact(&compact, []byte(arguments)) != nil {
		return json.RawMessage("{}"), false
	}
	return compact.Bytes(), true
}

// callTool makes one call, tells of it, and returns what the model is to read.
func (r *run) callTool(ctx context.Context, call model.ToolCall, arguments json.RawMessage, valid bool, offered []llms.Tool) (string, error) {
	if err := r.out.Emit(ctx, ToolStarted{CallID: call.ID, Name: call.Name, Arguments: arguments}); err != nil {
		return "", err
	}
	r.calls++
	var (
		result tool.Result
		err    error
	)
	switch {
	case !slices.ContainsFunc(offered, func(t llms.Tool) bool { return t.Function.Name == call.Name }):
		err = &tool.Mistake{Message: "There is no tool of this name."}
	case !valid:
		err = &tool.Mistake{Message: "The arguments are not a JSON object."}
	case r.calls > r.engine.deps.Budget.ToolCalls:
		err = &tool.Mistake{Message: "No more calls are possible. Answer with what you have."}
	default:
		result, err = r.execute(ctx, r.engine.tools[call.Name], call, arguments)
	}
	if err != nil {
		return r.failed(ctx, call, err)
	}
	content, event, err := r.present(result)
	if err != nil {
		return "", fault.From(err)
	}
	return content, r.out.Emit(ctx, ToolFinished{CallID: call.ID, Result: event})
}

// execute runs a tool within its time, in a span of its own.
func (r *run) execute(ctx context.Context, t tool.Tool, call model.ToolCall, arguments json.RawMessage) (tool.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, r.engine.deps.Budget.ToolTime)
	defer cancel()
	ctx, span := r.engine.deps.Tracer.Start(ctx, "execute_tool "+t.Name(), trace.WithAttributes(
		attribute.String("gen_ai.operation.name", "execute_tool"), attribute.String("gen_ai.tool.name", t.Name()), attribute.String("gen_ai.tool.call.id", call.ID)))
	defer span.End()
	result, err := t.Call(ctx, r.request.Caller, arguments)
	if err != nil {
		span.SetStatus(codes.Error, "failed")
	}
	return result, err
}

// failed tells of a failure. A mistake goes back to the model; anything else ends the run,
// because an answer without what the tool would have said would be a guess.
func (r *run) failed(ctx context.Context, call model.ToolCall, err error) (string, error) {
	var mistake *tool.Mistake
	if !errors.As(err, &mistake) {
		f := fault.From(err)
		if ctx.Err() == nil {
			if emitErr := r.out.Emit(ctx, ToolFinished{CallID: call.ID, Error: f.Detail()}); emitErr != nil {
				return "", emitErr
			}
		}
		return "", f
	}
	content, encodeErr := json.Marshal(map[string]string{"error": mistake.Message})
	if encodeErr != nil {
		return "", fault.From(encodeErr)
	}
	return string(content), r.out.Emit(ctx, ToolFinished{CallID: call.ID, Error: mistake.Message})
}

// present is a result for the model, and for the reader of the run. The passages' texts are
// left out of the latter: the citations hold what matters of them.
func (r *run) present(result tool.Result) (content string, event json.RawMessage, err error) {
	if result.Passages == nil {
		return string(result.Data), result.Data, nil
	}
	numbered := r.ledger.add(result.Passages)
	if content, err = tool.RenderPassages(numbered); err != nil {
		return "", nil, err
	}
	type found struct {
		DocumentID  string  `json:"documentId"`
		ChunkID     string  `json:"chunkId"`
		Title       string  `json:"title"`
		StartOffset int     `json:"startOffset"`
		EndOffset   int     `json:"endOffset"`
		Score       float64 `json:"score"`
	}
	list := make([]found, 0, len(numbered))
	for _, p := range numbered {
		list = append(list, found{p.DocumentID, p.ChunkID, p.Title, p.StartOffset, p.EndOffset, p.Score})
	}
	event, err = json.Marshal(map[string]any{"passages": list})
	return content, event, err
}
