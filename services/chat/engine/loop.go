package engine

import (
	"context"

	"github.com/tmc/langchaingo/llms"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
)

// run is the state of one run.
type run struct {
	engine  *Engine
	request Request
	model   model.Model
	out     Emitter
	ledger  *ledger
	citer   *citer

	outcome Outcome
	// last is the result of the newest call of the model.
	last     model.Result
	fellBack bool
	calls    int
	callIDs  map[string]bool
}

// loop alternates between model and tools until the model answers.
func (r *run) loop(ctx context.Context) error {
	agent := r.engine.agent
	if err := r.out.Emit(ctx, AgentSelected{Agent: agent.Name, Reason: agent.Reason}); err != nil {
		return err
	}
	messages := r.engine.messages(r.request)
	tools := r.engine.available(r.request)
	for step := 1; ; step++ {
		if r.spent(step) {
			tools = nil
		}
		if err := r.ask(ctx, messages, tools); err != nil {
			return err
		}
		if len(r.last.ToolCalls) == 0 || len(tools) == 0 {
			break
		}
		results, err := r.callTools(ctx, tools)
		if err != nil {
			return err
		}
		messages = append(messages, results...)
	}
	if r.citer.content.Len() == 0 && r.citer.noAnswer {
		// The model wrote only the marker.
		return r.citer.emit(ctx, "The knowledge base does not answer this.")
	}
	if r.citer.content.Len() == 0 {
		return fault.New(faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM, "The model ended without an answer.")
	}
	return nil
}

// spent reports whether this call of the model must be the last one by the budget.
func (r *run) spent(step int) bool {
	budget := r.engine.deps.Budget
	return step >= budget.Steps || r.calls >= budget.ToolCalls || r.outcome.Usage.InputTokens+r.outcome.Usage.OutputTokens >= budget.Tokens
}

// ask makes one call of the model and streams its text.
func (r *run) ask(ctx context.Context, messages []llms.MessageContent, tools []llms.Tool) error {
	r.citer.begin()
	result, err := r.model.Stream(ctx, model.Request{Messages: messages, Tools: tools, Temperature: r.request.Assistant.Temperature},
		func(d model.Delta) error { return r.citer.write(ctx, d.Text) })
	r.last = result
	r.outcome.Usage = r.outcome.Usage.Add(result.Usage)
	if result.Model != "" {
		r.outcome.Model = result.Model
	}
	r.fellBack = r.fellBack || result.Fallback
	// The text that is held back belongs to the answer, also when the call has failed. The
	// emitter must receive it even when the context has ended.
	if flushErr := r.citer.flush(context.WithoutCancel(ctx)); err == nil {
		err = flushErr
	}
	return err
}

// close returns the outcome.
func (r *run) close() Outcome {
	o := r.outcome
	o.Content, o.Citations = r.citer.content.String(), r.citer.citations
	noAnswer := r.last.NoAnswer || r.citer.noAnswer
	ungrounded := r.citer.invented || (r.ledger.searched && len(o.Citations) == 0 && !noAnswer && o.Content != "")
	for _, flag := range []struct {
		set  bool
		flag Flag
	}{
		{noAnswer, FlagNoAnswer},
		{ungrounded, FlagUngrounded},
		{r.last.Finish == model.FinishLength, FlagTruncated},
		{r.fellBack, FlagFallbackModel},
		{r.ledger.suspicious, FlagInjection},
		{r.last.Extractive, FlagExtractive},
	} {
		if flag.set {
			o.Flags = append(o.Flags, flag.flag)
		}
	}
	return o
}
