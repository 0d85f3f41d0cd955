// Package model is the engine's interface to language models of all providers.
//
// [Model] makes one streaming call. It has a [Request], it emits the text as [Delta]s while
// the model writes it, and it returns a [Result] with the requested tool calls and the usage.
// Messages and tools have langchaingo's types, so that its providers can be used. The provider
// packages correct the mistakes of langchaingo. Small wrappers in this package add what it
// does not have; each is a Model around a Model:
//
//	m := provider                                  // openai, local
//	m = model.WithTrace(m, tracer)                 // a span per attempt
//	m = model.WithBreaker(m, breaker)              // refuse at once while the provider is down
//	m = model.WithRetry(m, policy, clock)          // before the first visible token only
//	m = model.WithDeadline(m, 2*time.Minute)       // over all attempts
//
// [Registry] finds a model by the name that assistants have: provider/name.
//
// Every error that a Model returns is a fault. The Result beside an error has the text and
// the usage until then.
package model

import (
	"context"

	"github.com/tmc/langchaingo/llms"
)

// Model generates the answer to a conversation, as a stream.
type Model interface {
	// Name is the full name, provider/name, as it is stored with the answer.
	Name() string
	// Stream makes one call. It calls emit for each piece of visible text, on the calling
	// goroutine. An error of emit ends the call and is returned. With an error, the Result
	// has the text and the usage until then.
	Stream(ctx context.Context, req Request, emit func(Delta) error) (Result, error)
}

// Request is one call.
type Request struct {
	// Messages is the conversation, system message first.
	Messages []llms.MessageContent
	// Tools are the tools that the model may call. Without tools it must answer in text.
	Tools []llms.Tool
	// Temperature and TopP are the defaults of the provider when they are nil.
	Temperature *float64
	TopP        *float64
	// MaxTokens bounds the answer. 0 means the default of the provider.
	MaxTokens int
	// StopWords end the answer before them.
	StopWords []string
}

// Delta is a piece of an answer while it is written. It is never empty.
type Delta struct {
	Text string
}

// ToolCall is a complete call of a tool that the model requests.
type ToolCall struct {
	ID   string
	Name string
	// Arguments is JSON as the model wrote it. It may be invalid.
	Arguments string
}

// FinishReason is the reason why the model stopped.
type FinishReason string

// The reasons that all providers use. Other reasons are passed on unchanged.
const (
	FinishStop          FinishReason = "stop"
	FinishLength        FinishReason = "length"
	FinishToolCalls     FinishReason = "tool_calls"
	FinishContentFilter FinishReason = "content_filter"
)

// Usage counts the tokens of a call.
type Usage struct {
	InputTokens  int64
	OutputTokens int64
	// Estimated reports that the provider did not count, so the numbers are estimates.
	Estimated bool
}

// Add returns the sum of two usages. It is estimated when one of them is.
func (u Usage) Add(other Usage) Usage {
	return Usage{
		InputTokens:  u.InputTokens + other.InputTokens,
		OutputTokens: u.OutputTokens + other.OutputTokens,
		Estimated:    u.Estimated || other.Estimated,
	}
}

// Result is the result of a call.
type Result struct {
	// Model is the full name of the model that has answered. After a fallback it is not the
	// requested model.
	Model string
	// Text is the concatenation of all deltas.
	Text      string
	ToolCalls []ToolCall
	Finish    FinishReason
	Usage     Usage
	// Extractive reports that the text is quoted from passages and not generated.
	Extractive bool
	// NoAnswer reports that the model has declared that it has no answer.
	NoAnswer bool
	// Fallback reports that the first model has failed and another one has answered.
	Fallback bool
}
