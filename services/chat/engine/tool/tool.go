// Package tool is what a model may call: the interface, and the tools that are built in.
//
// A tool runs with the rights of the [Caller], which the engine passes beside the
// arguments. The arguments are the model's, and the model has read documents that anyone
// may have written: nothing in them can widen what the caller may see or do.
package tool

import (
	"context"
	"encoding/json"
	"fmt"
)

// Caller is on whose behalf a tool runs.
type Caller struct {
	OrganizationID string
	UserID         string
	// CollectionIDs are the collections that the conversation is about; empty means
	// every one that the caller may read.
	CollectionIDs []string
}

// Risk says what a tool may do.
type Risk int

const (
	// RiskNone reads nothing but its arguments.
	RiskNone Risk = iota
	// RiskRead reads what the caller may read.
	RiskRead
	// RiskWrite changes something, and waits for a person's approval.
	RiskWrite
)

// Tool is something that a model may call. It is safe for concurrent use.
type Tool interface {
	// Name is unique among an engine's tools, of letters, digits and "_".
	Name() string
	// Description tells the model when to call it.
	Description() string
	// Schema is the JSON Schema of the arguments.
	Schema() json.RawMessage
	// Risk says what it may do.
	Risk() Risk
	// Call runs it. A *Mistake goes back to the model, which may try again; any other
	// error ends the run.
	Call(ctx context.Context, caller Caller, arguments json.RawMessage) (Result, error)
}

// Result is what a call brought.
type Result struct {
	// Data is the result as JSON: the model and the reader of the run get it.
	Data json.RawMessage
	// Passages, from a search, are numbered by the engine and can be cited. A search
	// without any has an empty slice that is not nil.
	Passages []Passage
}

// Passage is a part of a document that answers may cite.
type Passage struct {
	DocumentID string
	ChunkID    string
	// Title is the document's.
	Title string
	// Text is the document's extracted text from StartOffset to EndOffset, counted in
	// code points.
	Text        string
	StartOffset int
	EndOffset   int
	// Score is the search's own; higher is better.
	Score float64
}

// Mistake is an error of the model in its arguments, in words that help it.
type Mistake struct{ Message string }

// Error implements error.
func (m *Mistake) Error() string { return m.Message }

func mistake(format string, args ...any) *Mistake {
	return &Mistake{Message: fmt.Sprintf(format, args...)}
}
