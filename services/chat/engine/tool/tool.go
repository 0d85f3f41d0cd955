// Package tool has the tools that a model may call: their interface, and the built-in tools.
//
// A tool has the rights of the [Caller], which the engine passes beside the arguments. The
// model writes the arguments, and it has read documents that anyone may have written. So
// nothing in the arguments may extend the rights of the caller.
package tool

import (
	"context"
	"encoding/json"
	"fmt"
)

// Caller is the user on whose behalf a tool runs.
type Caller struct {
	OrganizationID string
	UserID         string
	// CollectionIDs are the collections to search. An empty list means all collections that
	// the caller may read.
	CollectionIDs []string
}

// Risk is the kind of effects that a tool may have.
type Risk int

const (
	// RiskNone reads nothing but its arguments.
	RiskNone Risk = iota
	// RiskRead reads what the caller may read.
	RiskRead
	// RiskWrite changes something, and needs a user's approval.
	RiskWrite
)

// Tool is something that a model may call. It is safe for concurrent use.
type Tool interface {
	// Name is unique among the tools of an engine. It contains letters, digits and "_".
	Name() string
	// Description is the text from which the model learns when to call the tool.
	Description() string
	// Schema is the JSON Schema of the arguments.
	Schema() json.RawMessage
	// Risk returns the kind of effects that the tool may have.
	Risk() Risk
	// Call runs the tool. A *Mistake is returned to the model, which may retry. Any other
	// error ends the run.
	Call(ctx context.Context, caller Caller, arguments json.RawMessage) (Result, error)
}

// Result is the result of a call.
type Result struct {
	// Data is the result as JSON, for the model and for the readers of the run.
	Data json.RawMessage
	// Passages are the results of a search. The engine numbers them, so that they can be
	// cited. They are not nil for a search without results.
	Passages []Passage
}

// Passage is a part of a document that answers may cite.
type Passage struct {
	DocumentID string
	ChunkID    string
	// Title is the title of the document.
	Title string
	// Text is the document's extracted text from StartOffset to EndOffset, counted in
	// code points.
	Text        string
	StartOffset int
	EndOffset   int
	// Score is the score of the search; higher is better.
	Score float64
}

// Mistake is an error in the arguments of the model. Its message helps the model to correct
// them.
type Mistake struct{ Message string }

// Error implements error.
func (m *Mistake) Error() string { return m.Message }

func mistake(format string, args ...any) *Mistake {
	return &Mistake{Message: fmt.Sprintf(format, args...)}
}
