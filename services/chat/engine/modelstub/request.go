package modelstub

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Message is one message of a request.
type Message struct {
	Role       string
	Content    string
	ToolCallID string
	ToolCalls  []ToolCall
}

// Request is a request that the server has received.
type Request struct {
	Path   string
	Header http.Header
	// Body is the unchanged body.
	Body     []byte
	Model    string
	Stream   bool
	Messages []Message
	// Tools are the names of the tools that the model may call.
	Tools []string
	// Input is the texts of an embeddings request.
	Input []string

	includeUsage   bool
	encodingFormat string
	dimensions     int
}

// Timing has the times of a stream and the number of its tokens.
type Timing struct {
	Received   time.Time
	FirstToken time.Time
	Finished   time.Time
	Tokens     int
}

// HasTool reports whether the model may call a tool.
func (r Request) HasTool(name string) bool {
	for _, tool := range r.Tools {
		if tool == name {
			return true
		}
	}
	return false
}

// LastUser returns the text of the last message of the user.
func (r Request) LastUser() string {
	for i := len(r.Messages) - 1; i >= 0; i-- {
		if r.Messages[i].Role == "user" {
			return r.Messages[i].Content
		}
	}
	return ""
}

// Field returns a top-level field of the body, and reports whether the body has it.
func (r Request) Field(name string) (json.RawMessage, bool) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(r.Body, &fields); err != nil {
		return nil, false
	}
	value, ok := fields[name]
	return value, ok
}

func (r Request) last() Message {
	if len(r.Messages) == 0 {
		return Message{}
	}
	return r.Messages[len(r.Messages)-1]
}

// wireRequest is the body of a chat or embeddings request.
type wireRequest struct {
	Model         string `json:"model"`
	Stream        bool   `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Messages []struct {
		Role       string          `json:"role"`
		Content    json.RawMessage `json:"content"`
		ToolCallID string          `json:"tool_call_id"`
		ToolCalls  []struct {
			ID       string `json:"id"`
			Function struct {
				Name      string `json:"name"`
				Arguments string `json:"arguments"`
			} `json:"function"`
		} `json:"tool_calls"`
	} `json:"messages"`
	Tools []struct {
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	} `json:"tools"`
	Input          json.RawMessage `json:"input"`
	EncodingFormat string          `json:"encoding_format"`
	Dimensions     int             `json:"dimensions"`
}

// parseRequest parses the parts of a body that the stub uses.
func parseRequest(r *http.Request, body []byte) (Request, error) {
	var wire wireRequest
	if err := json.Unmarshal(body, &wire); err != nil {
		return Request{}, err
	}
	req := Request{
		Path: r.URL.Path, Header: r.Header.Clone(), Body: body, Model: wire.Model, Stream: wire.Stream,
		includeUsage: wire.StreamOptions.IncludeUsage, encodingFormat: wire.EncodingFormat, dimensions: wire.Dimensions,
	}
	for _, m := range wire.Messages {
		message := Message{Role: m.Role, Content: contentText(m.Content), ToolCallID: m.ToolCallID}
		for _, call := range m.ToolCalls {
			message.ToolCalls = append(message.ToolCalls, ToolCall{ID: call.ID, Name: call.Function.Name, Arguments: call.Function.Arguments})
		}
		req.Messages = append(req.Messages, message)
	}
	for _, tool := range wire.Tools {
		req.Tools = append(req.Tools, tool.Function.Name)
	}
	req.Input = inputTexts(wire.Input)
	return req, nil
}

// contentText returns the text of a message's content: a string, or a list of parts.
func contentText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(raw, &parts) != nil {
		return ""
	}
	var b strings.Builder
	for _, part := range parts {
		b.WriteString(part.Text)
	}
	return b.String()
}

// inputTexts returns the texts of an embeddings input: one string, or a list of strings.
func inputTexts(raw json.RawMessage) []string {
	if len(raw) == 0 {
		return nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var many []string
	if json.Unmarshal(raw, &many) != nil {
		return nil
	}
	return many
}
