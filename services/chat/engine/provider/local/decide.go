package local

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/tmc/langchaingo/llms"

	"github.com/gatehouse/gatehouse/services/chat/engine/lexical"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

// What the model says in words of its own. All else is quoted.
const (
	introduction = "From the documents:\n\n"
	nothingFound = "I found nothing about this in the knowledge base."
	cannotSearch = "I can only quote documents, and there is no knowledge base to search here."
)

// conversation is what the model needs of the messages.
type conversation struct {
	question string
	// previous is the question before it.
	previous string
	// results are the tools' answers since the question, by order.
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
		default: // what the model was told or said itself decides nothing
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

// step is what the model does next: a call, or a text.
type step struct {
	call     *llms.ToolCall
	text     string
	noAnswer bool
}

// decide chooses the step: read what a tool said, else call the tool that fits, else own
// up to knowing nothing.
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

// searchQuery is the question. One too short to stand alone, such as "And for parents?",
// takes the question before it along.
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

// conclude reads the results of the tools.
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
	// The words that are looked for are those of the question, with the one before it
	// where the search took it along.
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

// calculated words the calculator's answer.
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
