package openai

import (
	"bytes"
	"encoding/json"
	"strings"
)

// chunk is one event of a stream. Its types accept the variations of real servers.
type chunk struct {
	Choices []chunkChoice `json:"choices"`
	Usage   *wireUsage    `json:"usage"`
	Error   *wireError    `json:"error"`
}

type chunkChoice struct {
	Index  int        `json:"index"`
	Delta  chunkDelta `json:"delta"`
	Finish *string    `json:"finish_reason"`
}

type chunkDelta struct {
	Content          looseText   `json:"content"`
	ReasoningContent looseText   `json:"reasoning_content"`
	Reasoning        looseText   `json:"reasoning"`
	ToolCalls        []toolDelta `json:"tool_calls"`
}

type toolDelta struct {
	Index    *int   `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string    `json:"name"`
		Arguments looseText `json:"arguments"`
	} `json:"function"`
}

type wireUsage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	TotalTokens      int64 `json:"total_tokens"`
}

// looseText is text that a server may send as a string, as null, as a list of parts, or, for
// arguments, as a JSON object.
type looseText string

// UnmarshalJSON implements json.Unmarshaler.
func (t *looseText) UnmarshalJSON(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0 || bytes.Equal(raw, []byte("null")):
		return nil
	case raw[0] == '"':
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
		*t = looseText(text)
	case raw[0] == '[':
		var parts []struct {
			Text string `json:"text"`
		}
		if err := json.Unmarshal(raw, &parts); err != nil {
			return err
		}
		var b strings.Builder
		for _, part := range parts {
			b.WriteString(part.Text)
		}
		*t = looseText(b.String())
	default:
		*t = looseText(raw)
	}
	return nil
}

// The following types are what langchaingo's parser reads.
type outChunk struct {
	Choices []outChoice `json:"choices"`
	Usage   *wireUsage  `json:"usage,omitempty"`
}

type outChoice struct {
	Delta  outDelta `json:"delta"`
	Finish string   `json:"finish_reason,omitempty"`
}

type outDelta struct {
	Content          string        `json:"content,omitempty"`
	ReasoningContent string        `json:"reasoning_content,omitempty"`
	ToolCalls        []outToolCall `json:"tool_calls,omitempty"`
}

type outToolCall struct {
	ID       string      `json:"id,omitempty"`
	Type     string      `json:"type,omitempty"`
	Function outFunction `json:"function"`
}

type outFunction struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}
