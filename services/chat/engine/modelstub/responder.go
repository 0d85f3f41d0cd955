package modelstub

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Responder makes a Reply for a request: what answers when the script is used up.
type Responder func(Request) Reply

// Echo answers every request with the given number of tokens, at the given pace:
// the words of the question, over and over. It calls no tools, so that a load
// program measures one stream per run.
func Echo(tokens int, delay time.Duration) Responder {
	return func(req Request) Reply {
		return Reply{Text: words(req.LastUser(), tokens), TokenDelay: delay}
	}
}

// Grounded behaves as a model that uses its tools: it searches first where
// knowledge_search is offered, then answers with the given number of tokens and
// cites passage 1 when the search brought one.
func Grounded(tokens int, delay time.Duration) Responder {
	return func(req Request) Reply {
		last := req.last()
		if last.Role == "user" && req.Offers("knowledge_search") {
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

// words makes n tokens of a text, each a word with its space before it.
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
