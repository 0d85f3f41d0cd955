package engine

import (
	"context"
	"encoding/json"
)

// Emitter receives the events of a run.
type Emitter interface {
	// Emit receives the next event, on the goroutine of the run. An error ends the run.
	Emit(ctx context.Context, event Event) error
}

// Event is one of AgentSelected, ToolStarted, ToolFinished, MessageDelta and Citation.
type Event interface{ isEvent() }

// AgentSelected reports which agent answers, and why.
type AgentSelected struct {
	Agent  string
	Reason string
}

// ToolStarted reports the start of a call of a tool.
type ToolStarted struct {
	// CallID is unique within the run.
	CallID string
	Name   string
	// Arguments is a JSON object, compact.
	Arguments json.RawMessage
}

// ToolFinished reports the end of a call: either Result, which is compact JSON, or Error,
// which is a sentence.
type ToolFinished struct {
	CallID string
	Result json.RawMessage
	Error  string
}

// MessageDelta is a piece of the answer. It is never empty.
type MessageDelta struct{ Text string }

// Citation is the source of a statement in the answer, for a marker.
type Citation struct {
	// Index is the number in the marker, from 1.
	Index      int
	DocumentID string
	ChunkID    string
	Title      string
	// StartOffset and EndOffset are the offsets of Quote in the document's extracted text,
	// in code points.
	StartOffset int
	EndOffset   int
	Quote       string
}

func (AgentSelected) isEvent() {}
func (ToolStarted) isEvent()   {}
func (ToolFinished) isEvent()  {}
func (MessageDelta) isEvent()  {}
func (Citation) isEvent()      {}
