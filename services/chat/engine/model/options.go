package model

import (
	"strings"
	"unicode/utf8"

	"github.com/tmc/langchaingo/llms"
)

// The keys in the GenerationInfo of a choice with which this repository's langchaingo models
// report values for which langchaingo has no field.
const (
	// InfoExtractive is true when the text is quoted and not generated.
	InfoExtractive = "gatehouse:extractive"
	// InfoNoAnswer is true when the model has declared that it has no answer.
	InfoNoAnswer = "gatehouse:no_answer"
	// InfoEstimated is true when the token counts are estimates.
	InfoEstimated = "gatehouse:estimated"
)

// CallOptions returns the langchaingo options of a request, without its messages. The OpenAI
// client of langchaingo ignores TopP.
func CallOptions(req Request) []llms.CallOption {
	var options []llms.CallOption
	if len(req.Tools) > 0 {
		options = append(options, llms.WithTools(req.Tools))
	}
	if req.Temperature != nil {
		options = append(options, llms.WithTemperature(*req.Temperature))
	}
	if req.TopP != nil {
		options = append(options, llms.WithTopP(*req.TopP))
	}
	if req.MaxTokens > 0 {
		options = append(options, llms.WithMaxTokens(req.MaxTokens))
	}
	if len(req.StopWords) > 0 {
		options = append(options, llms.WithStopWords(req.StopWords))
	}
	return options
}

// Collect converts a langchaingo response to a Result. It merges all choices, because some
// providers return a choice for each content block.
func Collect(response *llms.ContentResponse) Result {
	var result Result
	if response == nil {
		return result
	}
	var text strings.Builder
	for i, choice := range response.Choices {
		text.WriteString(choice.Content)
		if result.Finish == "" {
			result.Finish = FinishReason(choice.StopReason)
		}
		for _, call := range choice.ToolCalls {
			if call.FunctionCall != nil {
				result.ToolCalls = append(result.ToolCalls, ToolCall{ID: call.ID, Name: call.FunctionCall.Name, Arguments: call.FunctionCall.Arguments})
			}
		}
		info := choice.GenerationInfo
		result.Extractive = result.Extractive || flag(info, InfoExtractive)
		result.NoAnswer = result.NoAnswer || flag(info, InfoNoAnswer)
		if i == 0 {
			result.Usage = Usage{InputTokens: count(info, "PromptTokens"), OutputTokens: count(info, "CompletionTokens"), Estimated: flag(info, InfoEstimated)}
		}
	}
	result.Text = text.String()
	return result
}

func flag(info map[string]any, key string) bool {
	value, ok := info[key].(bool)
	return ok && value
}

func count(info map[string]any, key string) int64 {
	switch value := info[key].(type) {
	case int:
		return int64(value)
	case int64:
		return value
	}
	return 0
}

// runesPerToken is the usual ratio for European languages. Usages that it computes are marked
// as estimated.
const runesPerToken = 4

// EstimateTokens estimates the number of tokens of a text by its code points.
func EstimateTokens(text string) int64 {
	return (int64(utf8.RuneCountInString(text)) + runesPerToken - 1) / runesPerToken
}

// EstimateInput estimates the number of tokens of a conversation.
func EstimateInput(messages []llms.MessageContent) int64 {
	var total int64
	for _, message := range messages {
		for _, part := range message.Parts {
			switch p := part.(type) {
			case llms.TextContent:
				total += EstimateTokens(p.Text)
			case llms.ToolCallResponse:
				total += EstimateTokens(p.Content)
			case llms.ToolCall:
				if p.FunctionCall != nil {
					total += EstimateTokens(p.FunctionCall.Name + p.FunctionCall.Arguments)
				}
			}
		}
	}
	return total
}

// OrEstimate returns the usage of a result. When the provider did not report it, OrEstimate
// estimates it from the request and the received text.
func OrEstimate(result Result, req Request) Usage {
	if result.Usage.InputTokens > 0 || result.Usage.OutputTokens > 0 {
		return result.Usage
	}
	output := EstimateTokens(result.Text)
	for _, call := range result.ToolCalls {
		output += EstimateTokens(call.Name + call.Arguments)
	}
	return Usage{InputTokens: EstimateInput(req.Messages), OutputTokens: output, Estimated: true}
}
