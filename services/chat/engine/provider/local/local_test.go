package local_test

import (
	"context"
	"strings"
	"testing"

	"github.com/tmc/langchaingo/llms"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
	"github.com/gatehouse/gatehouse/services/chat/engine/provider/local"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

func human(texts ...string) []llms.MessageContent {
	var messages []llms.MessageContent
	for _, text := range texts {
		messages = append(messages, llms.TextParts(llms.ChatMessageTypeHuman, text))
	}
	return messages
}

func TestExtractive_ChoosesTheTool(t *testing.T) {
	t.Parallel()
	both := []string{tool.CalculatorName, tool.KnowledgeSearchName}
	cases := map[string]struct {
		messages  []llms.MessageContent
		tools     []string
		name      string
		arguments string
	}{
		"arithmetic is calculated":    {human("What is 17 * 23?"), both, tool.CalculatorName, `{"expression":"17 * 23"}`},
		"in words too":                {human("Calculate 15% of 80 plus 3"), both, tool.CalculatorName, `{"expression":"15% of 80 + 3"}`},
		"in German":                   {human("Wie viel ist 3 mal 4?"), both, tool.CalculatorName, `{"expression":"3 * 4"}`},
		"division by zero too":        {human("1 / 0"), both, tool.CalculatorName, `{"expression":"1 / 0"}`},
		"a question is searched":      {human("What is the limit?"), both, tool.KnowledgeSearchName, `{"query":"What is the limit?"}`},
		"a date is no sum":            {human("2024-05-01"), both, tool.KnowledgeSearchName, `{"query":"2024-05-01"}`},
		"a number is no sum":          {human("What is 42?"), both, tool.KnowledgeSearchName, `{"query":"What is 42?"}`},
		"no calculator, no sum":       {human("1 + 1"), both[1:], tool.KnowledgeSearchName, `{"query":"1 + 1"}`},
		"a follow-up has its context": {human("How long is parental leave?", "And for fathers?"), both, tool.KnowledgeSearchName, `{"query":"How long is parental leave? And for fathers?"}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := stream(t, c.messages, c.tools...)
			if len(result.ToolCalls) != 1 || result.ToolCalls[0].Name != c.name || result.ToolCalls[0].Arguments != c.arguments || result.Finish != model.FinishToolCalls {
				t.Errorf("result %+v", result)
			}
		})
	}

	t.Run("without tools it states that it has no answer", func(t *testing.T) {
		t.Parallel()
		if result := stream(t, human("Why?")); !result.NoAnswer || result.Text == "" {
			t.Errorf("result %+v", result)
		}
	})
}

func TestExtractive_ResultOfTheCalculator_IsTheAnswer(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		`{"expression":"17 * 23 =","value":"391","exact":true}`: "17 * 23 = 391",
		`{"expression":"1/3","value":"0.333","exact":false}`:    "1/3 ≈ 0.333",
		`{"error":"Division by zero."}`:                         "That cannot be calculated: Division by zero.",
	}
	for content, want := range cases {
		messages := append(human("x"), llms.MessageContent{Role: llms.ChatMessageTypeTool, Parts: []llms.ContentPart{llms.ToolCallResponse{Name: tool.CalculatorName, Content: content}}})
		if result := stream(t, messages, tool.CalculatorName); result.Text != want || result.NoAnswer {
			t.Errorf("%s: %+v", content, result)
		}
	}
}

func TestExtractive_StreamsWords(t *testing.T) {
	t.Parallel()
	messages := human("Why?")
	m, err := local.New(local.Options{}).Model(local.ExtractiveName)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("the words are the whole text", func(t *testing.T) {
		t.Parallel()
		var words []string
		result, err := m.Stream(t.Context(), model.Request{Messages: messages}, func(d model.Delta) error {
			words = append(words, d.Text)
			return nil
		})
		if err != nil || len(words) < 5 || strings.Join(words, "") != result.Text {
			t.Errorf("%q, %+v, %v", words, result, err)
		}
	})

	t.Run("a canceled answer keeps its text", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		result, err := m.Stream(ctx, model.Request{Messages: messages}, func(model.Delta) error { cancel(); return nil })
		if !fault.Is(err, faultv1.Reason_REASON_CANCELLED) || result.Text != "I" {
			t.Errorf("%+v, %v", result, err)
		}
	})

	t.Run("limits are kept between words", func(t *testing.T) {
		t.Parallel()
		result, err := m.Stream(t.Context(), model.Request{Messages: messages, MaxTokens: 3}, func(model.Delta) error { return nil })
		if err != nil || result.Text != "I can only" || result.Finish != model.FinishLength {
			t.Errorf("%+v, %v", result, err)
		}
		result, err = m.Stream(t.Context(), model.Request{Messages: messages, StopWords: []string{" quote"}}, func(model.Delta) error { return nil })
		if err != nil || result.Text != "I can only" || result.Finish != model.FinishStop {
			t.Errorf("%+v, %v", result, err)
		}
	})

	t.Run("there is no other model", func(t *testing.T) {
		t.Parallel()
		if _, err := local.New(local.Options{}).Model("gpt"); !fault.Is(err, faultv1.Reason_REASON_MODEL_NOT_CONFIGURED) {
			t.Errorf("error %v", err)
		}
	})
}
