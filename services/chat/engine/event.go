package engine

import (
	"context"
	"encoding/json"
)

// Emitter takes the events of a run, in order, on the goroutine of the run. An error of it
// ends the run.
type Emitter interface {
	Emit(ctx context.Context, event Event) error
}

// Event is one of AgentSelected, ToolStarted, ToolFinished, MessageDelta and Citation.
type Event interface{ isEvent() }

// AgentSelected says which agent answers, and why.
type AgentSelected struct {
	Agent  string
	Reason string
}

// ToolStarted says that a tool is called.
type ToolStarted struct {
	// CallID is unique within the run.
	CallID string
	Name   string
	// Arguments is a JSON object, compact.
	Arguments json.RawMessage
}

// ToolFinished says what a call came to: either Result, which is compact JSON, or Error,
// which is a sentence.
type ToolFinished struct {
	CallID string
	Result json.RawMessage
	Error  string
}

// MessageDelta is a piece of the answer. It is never empty.
type MessageDelta struct{ Text string }

// Citation says what a marker in the answer stands for.
type Citation struct {
	// Index is the number in the marker, from 1.
	Index      int
	DocumentID string
	ChunkID    string
	Title      string
	// StartOffset and EndOffset are those of Quote in the document's extracted text, in
	// code points.
	StartOffset int
	EndOffset   int
	Quote       string
}

func (AgentSelected) isEvent() {}
func (ToolStarted) isEvent()   {}
func (ToolFinished) isEvent()  {}
func (MessageDelta) isEvent()  {}
func (Citation) isEvent()      {}
