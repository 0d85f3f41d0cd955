package modelstub

import (
	"time"
)

// ToolCall is a call of a tool that the model requests.
type ToolCall struct {
	ID        string
	Name      string
	Arguments string
}

// ToolStyle is the way in which a server divides tool calls into deltas. Real servers use all
// of them.
type ToolStyle int

const (
	// Sequential sends each call completely before the next one, as OpenAI does.
	Sequential ToolStyle = iota
	// Interleaved alternates between the calls, which differ by their index.
	Interleaved
	// RepeatedType repeats id and type in every fragment.
	RepeatedType
	// EmptyFirst sends a fragment with empty arguments between name and arguments.
	EmptyFirst
	// IndexZero sends the index 0 for every call. The calls differ by their ids.
	IndexZero
)

// Break is the way in which a stream ends too early.
type Break int

const (
	// NoBreak completes the stream.
	NoBreak Break = iota
	// ErrorEvent sends an error as an event, then ends.
	ErrorEvent
	// Reset resets the connection.
	Reset
	// CleanEOF ends the response without an error, without a finish reason and without
	// [DONE].
	CleanEOF
)

// Reply is one reply of the server. The zero Reply is an empty answer that ends with "stop".
type Reply struct {
	// Status other than 0 and 200 makes the reply a refusal, with Error as its body.
	Status int
	// RetryAfter is sent as a header with a refusal, in seconds, rounded up.
	RetryAfter time.Duration
	// Error is the body of the refusal, or the error event.
	Error Error
	// RawBody is sent unchanged, with Status, instead of anything else.
	RawBody string

	// Reasoning is streamed before the text, in the field ReasoningField
	// ("reasoning_content" when empty; some servers call it "reasoning").
	Reasoning      []string
	ReasoningField string
	// Text is the answer, one element per delta.
	Text []string
	// ToolCalls follow the text. ToolStyle is the way in which they are divided.
	ToolCalls []ToolCall
	ToolStyle ToolStyle
	// Finish is the finish reason. The default is "tool_calls" or "stop".
	Finish string
	// Usage replaces the counted usage; NoUsage leaves it out.
	Usage   *Usage
	NoUsage bool

	// FirstDelay is the wait before the first delta, TokenDelay that before each other
	// delta.
	FirstDelay time.Duration
	TokenDelay time.Duration
	// Hold stops the stream after HoldAfter text deltas. The stream continues when a test
	// closes Hold.
	Hold      <-chan struct{}
	HoldAfter int
	// Break ends the stream after BreakAfter text deltas.
	Break      Break
	BreakAfter int
}

// Error is an error in OpenAI's format.
type Error struct {
	Message string `json:"message"`
	Type    string `json:"type"`
	Code    string `json:"code,omitempty"`
	Param   string `json:"param,omitempty"`
}

// Usage counts tokens.
type Usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

func (r Reply) finish() string {
	switch {
	case r.Finish != "":
		return r.Finish
	case len(r.ToolCalls) > 0:
		return "tool_calls"
	default:
		return "stop"
	}
}

// usage counts a token for each delta, and one for every four bytes of the prompt. That is
// close to real values, and the same every time.
func (r Reply) usage(req Request) Usage {
	if r.Usage != nil {
		return *r.Usage
	}
	prompt := 0
	for _, m := range req.Messages {
		prompt += len(m.Content)/4 + 3
	}
	completion := len(r.Text) + len(r.Reasoning)
	for _, call := range r.ToolCalls {
		completion += len(call.Arguments)/4 + 4
	}
	return Usage{PromptTokens: prompt, CompletionTokens: completion, TotalTokens: prompt + completion}
}

// errorBody returns the error of a refusal, or a default when the script has none.
func (r Reply) errorBody() Error {
	if r.Error.Message != "" {
		return r.Error
	}
	return Error{Message: "the stub was told to fail", Type: "server_error"}
}
