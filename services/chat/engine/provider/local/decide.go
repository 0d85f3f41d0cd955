package local

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/tmc/langchaingo/llms"

	"github.com/gatehouse/gatehouse/services/chat/engine/lexical"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

// The texts of the model itself. All other text is quoted.
const (
	introduction = "From the documents:\n\n"
	nothingFound = "I found nothing about this in the knowledge base."
	cannotSearch = "I can only quote documents, and there is no knowledge base to search here."
)

// conversation is the part of the messages that the model uses.
type conversation struct {
	question string
	// previous is the question before that.
	previous string
	// results are the results of tools since the question, in order.
	results []llms.ToolCallResponse
}

func readConversation(messages []llms.MessageContent) conversation {
	var c conversation
	for _, message := range messages {
		switch message.Role {
		case llms.ChatMessageTypeHuman, llms.ChatMessageTypeGeneric:
			c.previous, c.question, c.results = c.question, messageText(message), nil
		case llms.ChatMessageTypeTool:
			for _, part := range message.Parts {
				if response, ok := part.(llms.ToolCallResponse); ok {
					c.results = append(c.results, response)
				}
			}
		default: // the prompt and the answers of the model are not used
		}
	}
	return c
}

func messageText(message llms.MessageContent) string {
	var b strings.Builder
	for _, part := range message.Parts {
		if text, ok := part.(llms.TextContent); ok {
			b.WriteString(text.Text)
		}
	}
	return b.String()
}

// step is the next step of the model: a call of a tool, or a text.
type step struct {
	call     *llms.ToolCall
	text     string
	noAnswer bool
}

// decide returns the next step. It answers from the results of tools, or else calls the tool
// that fits, or else states that it has no answer.
func decide(c conversation, tools map[string]bool) step {
	if len(c.results) > 0 {
		return conclude(c)
	}
	if expression, ok := arithmetic(c.question); ok && tools[tool.CalculatorName] {
		return call(c, tool.CalculatorName, "expression", expression)
	}
	if tools[tool.KnowledgeSearchName] {
		return call(c, tool.KnowledgeSearchName, "query", searchQuery(c))
	}
	return step{text: cannotSearch, noAnswer: true}
}

// searchQuery returns the query for a question. A short question, such as "And for parents?",
// has the previous question before it.
func searchQuery(c conversation) string {
	if c.previous != "" && len(lexical.Content(c.question)) < 2 {
		return c.previous + " " + c.question
	}
	if strings.TrimSpace(c.question) == "" {
		return "?"
	}
	return c.question
}

func call(c conversation, name, argument, value string) step {
	arguments, err := json.Marshal(map[string]string{argument: value})
	if err != nil {
		return step{text: nothingFound, noAnswer: true}
	}
	id := "call_" + strconv.Itoa(len(c.results)+1)
	return step{call: &llms.ToolCall{ID: id, Type: "function", FunctionCall: &llms.FunctionCall{Name: name, Arguments: string(arguments)}}}
}

// conclude answers from the results of tools.
func conclude(c conversation) step {
	var passages []tool.Numbered
	for _, result := range c.results {
		if found, ok := tool.ParsePassages(result.Content); ok {
			passages = append(passages, found...)
			continue
		}
		if text, ok := calculated(result); ok {
			return step{text: text}
		}
	}
	// The query of the search is also the query for the sentences.
	answer := extract(searchQuery(c), passages)
	if len(answer) == 0 {
		return step{text: nothingFound, noAnswer: true}
	}
	var b strings.Builder
	b.WriteString(introduction)
	for i, quoted := range answer {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(quoted.text)
		b.WriteByte(' ')
		b.WriteString(tool.Marker(quoted.number))
	}
	return step{text: b.String()}
}

// calculated returns the text for a result of the calculator.
func calculated(result llms.ToolCallResponse) (string, bool) {
	if result.Name != tool.CalculatorName {
		return "", false
	}
	var calculation tool.Calculation
	if err := json.Unmarshal([]byte(result.Content), &calculation); err == nil && calculation.Value != "" {
		sign := " = "
		if !calculation.Exact {
			sign = " ≈ "
		}
		return strings.TrimSpace(strings.TrimSuffix(calculation.Expression, "=")) + sign + calculation.Value, true
	}
	var failed struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal([]byte(result.Content), &failed); err == nil && failed.Error != "" {
		return "That cannot be calculated: " + failed.Error, true
	}
	return "", false
}
