package modelstub

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Responder returns the reply to a request after the end of the script.
type Responder func(Request) Reply

// Echo returns a responder that repeats the words of the question, with the given number of
// tokens and the given delay between tokens. It calls no tools, so that a load program measures
// one stream for each run.
func Echo(tokens int, delay time.Duration) Responder {
	return func(req Request) Reply {
		return Reply{Text: words(req.LastUser(), tokens), TokenDelay: delay}
	}
}

// Grounded returns a responder that behaves like a model with tools. It searches first when it
// may call knowledge_search. Then it returns the given number of tokens, and cites
// passage 1 when the search has found one.
func Grounded(tokens int, delay time.Duration) Responder {
	return func(req Request) Reply {
		last := req.last()
		if last.Role == "user" && req.HasTool("knowledge_search") {
			arguments, err := json.Marshal(map[string]string{"query": req.LastUser()})
			if err != nil {
				return Reply{Status: 500, Error: Error{Message: err.Error()}}
			}
			return Reply{ToolCalls: []ToolCall{{ID: "call_" + strconv.Itoa(len(req.Messages)), Name: "knowledge_search", Arguments: string(arguments)}}}
		}
		text := words(req.LastUser(), tokens)
		if last.Role == "tool" && strings.Contains(last.Content, "[1]") {
			text = append(text, " [1].")
		}
		return Reply{Text: text, TokenDelay: delay}
	}
}

// words returns n tokens of a text. Each is a word with the space before it.
func words(text string, n int) []string {
	source := strings.Fields(text)
	if len(source) == 0 {
		source = []string{"token"}
	}
	tokens := make([]string, 0, n)
	for i := range n {
		word := source[i%len(source)]
		if i > 0 {
			word = " " + word
		}
		tokens = append(tokens, word)
	}
	return tokens
}
