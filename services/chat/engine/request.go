package engine

import (
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

// Role is who wrote a turn.
type Role int

const (
	// RoleUser is the person.
	RoleUser Role = iota + 1
	// RoleAssistant is us.
	RoleAssistant
)

// Turn is a message of the conversation so far.
type Turn struct {
	Role    Role
	Content string
}

// Assistant is how the organization wants to be answered.
type Assistant struct {
	// Instructions are added to the agent's own.
	Instructions string
	// Model is a full name; empty means the default.
	Model string
	// FallbackModels are asked in turn when the model fails before its first word.
	FallbackModels []string
	// Temperature is left to the model when nil.
	Temperature *float64
	// Tools are the names of those that may be used; nil means all.
	Tools []string
}

func (a Assistant) has(name string) bool { return a.Tools == nil || slices.Contains(a.Tools, name) }

// Request is a run to make.
type Request struct {
	// History is the conversation, oldest first; it ends with the user's message.
	History   []Turn
	Assistant Assistant
	Caller    tool.Caller
	// Withheld holds the names of tools that this run may not use, whatever its
	// assistant allows.
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

// Flag says something about an answer that its reader should know.
type Flag string

// The flags that the engine sets.
const (
	// FlagNoAnswer: the knowledge base does not answer the question, and the text says so.
	FlagNoAnswer Flag = "NO_ANSWER"
	// FlagUngrounded: a search was made, but the answer cites nothing of it, or it cited
	// what does not exist.
	FlagUngrounded Flag = "UNGROUNDED"
	// FlagTruncated: the answer reached the model's limit.
	FlagTruncated Flag = "TRUNCATED"
	// FlagFallbackModel: another model answered than was asked for.
	FlagFallbackModel Flag = "FALLBACK_MODEL"
	// FlagInjection: a passage reads like an instruction to the model.
	FlagInjection Flag = "PROMPT_INJECTION_SUSPECTED"
	// FlagExtractive: the answer is quoted, not generated.
	FlagExtractive Flag = "EXTRACTIVE"
)

// Outcome is what a run came to.
type Outcome struct {
	Content   string
	Citations []Citation
	Flags     []Flag
	// Model is the full name of the one that answered.
	Model string
	Usage model.Usage
}
