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

// callTools makes the calls that the model has requested, one after the other. It returns
// the messages for the model: the model's own message with the calls, and one message for
// each result.
func (r *run) callTools(ctx context.Context, offered []llms.Tool) ([]llms.MessageContent, error) {
	requested := llms.MessageContent{Role: llms.ChatMessageTypeAI}
	if r.last.Text != "" {
		requested.Parts = append(requested.Parts, llms.TextPart(r.last.Text))
	}
	var results []llms.MessageContent
	for _, call := range r.last.ToolCalls {
		call.ID = r.uniqueID(call.ID)
		arguments, valid := compactObject(call.Arguments)
		requested.Parts = append(requested.Parts, llms.ToolCall{ID: call.ID, Type: "function", FunctionCall: &llms.FunctionCall{Name: call.Name, Arguments: string(arguments)}})
		content, err := r.callTool(ctx, call, arguments, valid, offered)
		if err != nil {
			return nil, err
		}
		results = append(results, llms.MessageContent{Role: llms.ChatMessageTypeTool, Parts: []llms.ContentPart{
			llms.ToolCallResponse{ToolCallID: call.ID, Name: call.Name, Content: content},
		}})
	}
	return append([]llms.MessageContent{requested}, results...), nil
}

// uniqueID returns an id for a call that differs from the ids of all earlier calls. Some
// models count from one in each step.
func (r *run) uniqueID(id string) string {
	unique := id
	for n := 2; unique == "" || r.callIDs[unique]; n++ {
		unique = fmt.Sprintf("%s-%d", id, n)
	}
	r.callIDs[unique] = true
	return unique
}

// compactObject returns arguments as a compact JSON object, and reports whether they are one.
func compactObject(arguments string) (json.RawMessage, bool) {
	var object map[string]json.RawMessage
	var compact bytes.Buffer
	if json.Unmarshal([]byte(arguments), &object) != nil || object == nil || json.Compact(&compact, []byte(arguments)) != nil {
		return json.RawMessage("{}"), false
	}
	return compact.Bytes(), true
}

// callTool makes one call, emits its events, and returns the result as the model reads it.
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

// execute runs a tool with a deadline and in a new span.
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

// failed emits the failure of a call. It returns a mistake to the model. Any other failure
// ends the run, because an answer without the result of the tool would be a guess.
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

// present returns a result in the form for the model, and in the form for the readers of the
// run. The latter does not contain the texts of the passages, because citations contain the
// quoted parts.
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
