// Package model is how the engine talks to language models, whoever serves them.
//
// [Model] is one streaming call: a [Request] goes in, text comes out as [Delta]s
// while it is written, and a [Result] says at the end what the model wants done
// and what it cost. Messages and tools keep langchaingo's types, so that any of its
// providers fits; what langchaingo gets wrong about them ends in the provider
// packages, and what it leaves out is added here by small wrappers, each a Model
// around a Model:
//
//	m := provider                                  // openai, local
//	m = model.WithTrace(m, tracer)                 // a span per try
//	m = model.WithBreaker(m, breaker)              // refuse at once while the provider is down
//	m = model.WithRetry(m, policy, clock)          // before the first visible token only
//	m = model.WithDeadline(m, 2*time.Minute)       // over all tries
//
// [Registry] finds a model by the name that assistants carry: provider/name.
//
// Every error that a Model returns is a fault. A Result that comes with an error is
// what had arrived until then, so that a caller keeps partial text and usage.
package model

import (
	"context"

	"github.com/tmc/langchaingo/llms"
)

// Model answers a conversation, streaming.
type Model interface {
	// Name is the full name, provider/name, as it is stored with the answer.
	Name() string
	// Stream makes one call. It calls emit for each piece of visible text, on the
	// calling goroutine; an error of emit ends the call and is returned. On an error
	// the Result holds what had arrived.
	Stream(ctx context.Context, req Request, emit func(Delta) error) (Result, error)
}

// Request is one call.
type Request struct {
	// Messages is the conversation, system message first.
	Messages []llms.MessageContent
	// Tools are on offer; none means that the model must answer in text.
	Tools []llms.Tool
	// Temperature and TopP are left to the provider when nil.
	Temperature *float64
	TopP        *float64
	// MaxTokens bounds the answer; 0 leaves it to the provider.
	MaxTokens int
	// StopWords end the answer where they would appear.
	StopWords []string
}

// Delta is a piece of an answer while it is written. It is never empty.
type Delta struct {
	Text string
}

// ToolCall is a complete call that the model asks for.
type ToolCall struct {
	ID   string
	Name string
	// Arguments is JSON as the model wrote it, which need not be valid.
	Arguments string
}

// FinishReason says why the model stopped.
type FinishReason string

// The reasons that providers agree on; others are passed on as they came.
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
	// Estimated says that the provider did not count, and we did.
	Estimated bool
}

// Add returns the sum of two usages; it is estimated when a part of it is.
func (u Usage) Add(other Usage) Usage {
	return Usage{
		InputTokens:  u.InputTokens + other.InputTokens,
		OutputTokens: u.OutputTokens + other.OutputTokens,
		Estimated:    u.Estimated || other.Estimated,
	}
}

// Result is what a call came to.
type Result struct {
	// Model is the full name of the model that answered: another one than asked for
	// when a fallback took over.
	Model string
	// Text is the concatenation of all deltas.
	Text      string
	ToolCalls []ToolCall
	Finish    FinishReason
	Usage     Usage
	// Extractive says that the text was picked from passages and not generated.
	Extractive bool
	// NoAnswer says that the model itself declares that it has no answer.
	NoAnswer bool
	// Fallback says that the first choice failed and another model answered.
	Fallback bool
}
