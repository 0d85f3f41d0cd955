package engine

import (
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

// Role is the author of a turn.
type Role int

const (
	// RoleUser is the user.
	RoleUser Role = iota + 1
	// RoleAssistant is the model.
	RoleAssistant
)

// Turn is a message of the conversation so far.
type Turn struct {
	Role    Role
	Content string
}

// Assistant is the configuration of answers that the organization has chosen.
type Assistant struct {
	// Instructions are added to the agent's prompt.
	Instructions string
	// Model is the full name of a model; empty means the default.
	Model string
	// FallbackModels are called in this order when the model fails before its first word.
	FallbackModels []string
	// Temperature is the default of the model when it is nil.
	Temperature *float64
	// Tools are the names of the tools that may be used; nil means all.
	Tools []string
}

func (a Assistant) has(name string) bool { return a.Tools == nil || slices.Contains(a.Tools, name) }

// Request is what an engine is to answer.
type Request struct {
	// History is the conversation, oldest first; it ends with the user's message.
	History   []Turn
	Assistant Assistant
	Caller    tool.Caller
	// Withheld has the names of tools that this run must not use, even when its assistant
	// allows them.
	Withheld []string
}

func (r Request) has(name string) bool {
	return r.Assistant.has(name) && !slices.Contains(r.Withheld, name)
}

func (r Request) validate() error {
	if len(r.History) == 0 || r.History[len(r.History)-1].Role != RoleUser {
		return fault.Invalid("content", "there must be a message to answer")
	}
	if strings.TrimSpace(r.History[len(r.History)-1].Content) == "" {
		return fault.Invalid("content", "must not be empty")
	}
	return nil
}

// Flag is something that the reader of an answer should know.
type Flag string

// The flags that the engine sets.
const (
	// FlagNoAnswer: the knowledge base does not answer the question, and the text says so.
	FlagNoAnswer Flag = "NO_ANSWER"
	// FlagUngrounded: a search was made, but the answer cites no result of it, or a
	// passage that does not exist.
	FlagUngrounded Flag = "UNGROUNDED"
	// FlagTruncated: the answer reached the model's limit.
	FlagTruncated Flag = "TRUNCATED"
	// FlagFallbackModel: another model than the requested one has answered.
	FlagFallbackModel Flag = "FALLBACK_MODEL"
	// FlagInjection: a passage reads like an instruction to the model.
	FlagInjection Flag = "PROMPT_INJECTION_SUSPECTED"
	// FlagExtractive: the answer is quoted, not generated.
	FlagExtractive Flag = "EXTRACTIVE"
)

// Outcome is the result of a run.
type Outcome struct {
	Content   string
	Citations []Citation
	Flags     []Flag
	// Model is the full name of the model that has answered.
	Model string
	Usage model.Usage
}
