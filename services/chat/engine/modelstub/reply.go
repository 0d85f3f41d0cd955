package modelstub

import (
	"time"
)

// ToolCall is a call that the model asks for.
type ToolCall struct {
	ID        string
	Name      string
	Arguments string
}

// ToolStyle is the way in which a server cuts tool calls into deltas. All of them
// occur in the wild.
type ToolStyle int

const (
	// Sequential sends each call to its end before the next begins, as OpenAI does.
	Sequential ToolStyle = iota
	// Interleaved alternates between the calls; only the index tells them apart.
	Interleaved
	// RepeatedType repeats id and type on every fragment.
	RepeatedType
	// EmptyFirst sends a fragment with empty arguments between name and arguments.
	EmptyFirst
	// IndexZero gives every call the index 0; only the id tells them apart.
	IndexZero
)

// Break is the way in which a stream ends before its time.
type Break int

const (
	// NoBreak lets the stream end as it should.
	NoBreak Break = iota
	// ErrorEvent sends an error as an event, then ends.
	ErrorEvent
	// Reset resets the connection.
	Reset
	// CleanEOF ends the response properly, with no finish reason and no [DONE].
	CleanEOF
)

// Reply scripts one answer of the server. The zero Reply is an empty answer that
// ends with "stop".
type Reply struct {
	// Status other than 0 and 200 makes the reply a refusal, with Error as its body.
	Status int
	// RetryAfter is sent as a header with a refusal, in seconds, rounded up.
	RetryAfter time.Duration
	// Error is the refusal, or the error event.
	Error Error
	// RawBody is sent as it is instead of anything else, with Status.
	RawBody string

	// Reasoning is streamed before the text, in the field ReasoningField
	// ("reasoning_content" when empty; some servers call it "reasoning").
	Reasoning      []string
	ReasoningField string
	// Text is the answer, one element per delta.
	Text []string
	// ToolCalls follow the text, cut as ToolStyle says.
	ToolCalls []ToolCall
	ToolStyle ToolStyle
	// Finish is the finish reason; empty means "tool_calls" or "stop", as fits.
	Finish string
	// Usage overrides the counted usage; NoUsage leaves it out.
	Usage   *Usage
	NoUsage bool

	// FirstDelay is waited before the first delta, TokenDelay before each other.
	FirstDelay time.Duration
	TokenDelay time.Duration
	// Hold, when set, is waited for after HoldAfter text deltas: a test lets the
	// stream go on by closing it, without sleeping.
	Hold      <-chan struct{}
	HoldAfter int
	// Break ends the stream after BreakAfter text deltas.
	Break      Break
	BreakAfter int
}

// Error is an error in OpenAI's shape.
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

// usage counts a token per delta and one per four bytes of prompt: close enough
// to real figures for a stub, and the same every time.
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

// errorBody is the body of a refusal, with what a real server would put there when
// the script says nothing.
func (r Reply) errorBody() Error {
	if r.Error.Message != "" {
		return r.Error
	}
	return Error{Message: "the stub was told to fail", Type: "server_error"}
}
