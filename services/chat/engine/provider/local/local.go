// Package local is the model that needs no key, no network and no weights.
//
// local/extractive is honest about what it is: it generates nothing. It answers a question
// with sentences that stand, word for word, in the passages that a search found, each
// with the marker of its passage; it hands arithmetic to the calculator; and when the
// passages do not answer the question it says so. Its answers are marked as extractive
// and its token counts as estimates.
//
// It behaves as a model with tools does: asked a question, it calls knowledge_search when
// that is offered; given the result, it answers. So the engine needs no special case for
// it, and it stands in for a real model in every test, the same every time.
//
// # When it answers
//
// A question's content words are weighted: one that no passage knows weighs most, since
// it is what the passages do not speak of, and one that questions are made of ("policy",
// "work", "long") weighs little. A sentence is covered to the degree to which it, the
// headings above it and its neighbors hold those words, in any inflection, or misspelled.
// Below a threshold there is no answer: a wrong quotation is worse than none.
package local

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/tmc/langchaingo/llms"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
)

// The name of the model, after its provider.
const (
	ProviderName   = "local"
	ExtractiveName = "extractive"
)

// Options configures the provider.
type Options struct {
	// Pace is waited before each word, so that an answer can be watched; none when zero.
	Pace time.Duration
	// Clock is needed with a Pace.
	Clock clock.Clock
}

// New makes the provider "local".
func New(options Options) model.Provider {
	return model.ProviderFunc(func(name string) (model.Model, error) {
		if name != ExtractiveName {
			return nil, fault.New(faultv1.Reason_REASON_MODEL_NOT_CONFIGURED, "There is no local model %q; there is %s/%s.", name, ProviderName, ExtractiveName)
		}
		return model.Adapt(ProviderName+"/"+ExtractiveName, NewExtractive(options)), nil
	})
}

// Extractive is the model itself, as langchaingo knows models. It is safe for concurrent
// use.
type Extractive struct{ options Options }

var _ llms.Model = (*Extractive)(nil)

// NewExtractive makes the model.
func NewExtractive(options Options) *Extractive { return &Extractive{options: options} }

// Call implements llms.Model.
func (e *Extractive) Call(ctx context.Context, prompt string, options ...llms.CallOption) (string, error) {
	return llms.GenerateFromSinglePrompt(ctx, e, prompt, options...)
}

// GenerateContent implements llms.Model.
func (e *Extractive) GenerateContent(ctx context.Context, messages []llms.MessageContent, options ...llms.CallOption) (*llms.ContentResponse, error) {
	var opts llms.CallOptions
	for _, option := range options {
		option(&opts)
	}
	step := decide(readConversation(messages), offered(opts))
	choice := &llms.ContentChoice{StopReason: string(model.FinishStop)}
	var output int64
	if step.call != nil {
		choice.StopReason = string(model.FinishToolCalls)
		choice.ToolCalls = []llms.ToolCall{*step.call}
		output = model.EstimateTokens(step.call.FunctionCall.Arguments)
	} else {
		text, cut := bound(step.text, opts)
		if cut {
			choice.StopReason = string(model.FinishLength)
		}
		said, err := e.say(ctx, text, opts.StreamingFunc)
		choice.Content, output = said, model.EstimateTokens(said)
		if err != nil {
			return nil, err
		}
	}
	choice.GenerationInfo = map[string]any{
		model.InfoExtractive: step.call == nil, model.InfoNoAnswer: step.noAnswer, model.InfoEstimated: true,
		"PromptTokens": int(model.EstimateInput(messages)), "CompletionTokens": int(output),
	}
	return &llms.ContentResponse{Choices: []*llms.ContentChoice{choice}}, nil
}

// say streams a text word by word, and returns what was said until the context ended.
func (e *Extractive) say(ctx context.Context, text string, stream func(context.Context, []byte) error) (string, error) {
	said := 0
	for said < len(text) {
		if err := ctx.Err(); err != nil {
			return text[:said], err
		}
		if e.options.Pace > 0 && said > 0 {
			if err := clock.Sleep(ctx, e.options.Clock, e.options.Pace); err != nil {
				return text[:said], err
			}
		}
		end := nextWord(text, said)
		if stream != nil {
			if err := stream(ctx, []byte(text[said:end])); err != nil {
				return text[:said], err
			}
		}
		said = end
	}
	return text, nil
}

// nextWord is the end of the word that begins at start, with the space before it.
func nextWord(text string, start int) int {
	inWord := false
	for i, r := range text[start:] {
		space := unicode.IsSpace(r)
		if space && inWord {
			return start + i
		}
		inWord = inWord || !space
	}
	return len(text)
}

// bound cuts a text to the caller's limit, between words, and at its stop words.
func bound(text string, opts llms.CallOptions) (string, bool) {
	for _, stop := range opts.StopWords {
		if i := strings.Index(text, stop); stop != "" && i >= 0 {
			text = text[:i]
		}
	}
	if opts.MaxTokens <= 0 || model.EstimateTokens(text) <= int64(opts.MaxTokens) {
		return text, false
	}
	end := 0
	for {
		next := nextWord(text, end)
		if model.EstimateTokens(text[:next]) > int64(opts.MaxTokens) {
			return text[:end], true
		}
		end = next
	}
}

func offered(opts llms.CallOptions) map[string]bool {
	names := make(map[string]bool, len(opts.Tools))
	for _, t := range opts.Tools {
		if t.Function != nil {
			names[t.Function.Name] = true
		}
	}
	return names
}
