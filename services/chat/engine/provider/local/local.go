// Package local has the model that needs no key, no network and no weights.
//
// local/extractive generates no text. Its answer to a question is verbatim sentences of the
// passages that a search has found, each with the marker of its passage. It calls the
// calculator for arithmetic. When the passages do not answer the question, it states so. Its
// answers are marked as extractive, and its token counts as estimates.
//
// It behaves like a model with tools: it calls knowledge_search for a question when the tool
// is available, and answers from the result. So the engine needs no special case for it. It
// replaces a real model in tests, where it always gives the same answer.
//
// # When it answers
//
// The content words of a question have weights. A word that is in no passage has the highest
// weight, because the passages are about something else. A word that is common in questions
// ("policy", "work", "long") has a low weight. The score of a sentence depends on how many of
// the words are in it, in the headings above it and in its neighbors. Inflected and misspelled
// words count too. When no score reaches the threshold there is no answer, because a wrong
// quotation is worse than none.
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
	// Pace is the wait before each word, so that users see the answer appear.
	Pace time.Duration
	// Clock is needed with a Pace.
	Clock clock.Clock
}

// New returns the provider "local".
func New(options Options) model.Provider {
	return model.ProviderFunc(func(name string) (model.Model, error) {
		if name != ExtractiveName {
			return nil, fault.New(faultv1.Reason_REASON_MODEL_NOT_CONFIGURED, "There is no local model %q; the only one is %s/%s.", name, ProviderName, ExtractiveName)
		}
		return model.Adapt(ProviderName+"/"+ExtractiveName, NewExtractive(options)), nil
	})
}

// Extractive is the model as a model of langchaingo. It is safe for concurrent use.
type Extractive struct{ options Options }

var _ llms.Model = (*Extractive)(nil)

// NewExtractive returns the model.
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
	step := decide(readConversation(messages), toolNames(opts))
	choice := &llms.ContentChoice{StopReason: string(model.FinishStop)}
	var output int64
	if step.call != nil {
		choice.StopReason = string(model.FinishToolCalls)
		choice.ToolCalls = []llms.ToolCall{*step.call}
		output = model.EstimateTokens(step.call.FunctionCall.Arguments)
	} else {
		text, shortened := bound(step.text, opts)
		if shortened {
			choice.StopReason = string(model.FinishLength)
		}
		sent, err := e.send(ctx, text, opts.StreamingFunc)
		choice.Content, output = sent, model.EstimateTokens(sent)
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

// send streams a text word by word. It returns the text that was sent until the context ended.
func (e *Extractive) send(ctx context.Context, text string, stream func(context.Context, []byte) error) (string, error) {
	sent := 0
	for sent < len(text) {
		if err := ctx.Err(); err != nil {
			return text[:sent], err
		}
		if e.options.Pace > 0 && sent > 0 {
			if err := clock.Sleep(ctx, e.options.Clock, e.options.Pace); err != nil {
				return text[:sent], err
			}
		}
		end := nextWord(text, sent)
		if stream != nil {
			if err := stream(ctx, []byte(text[sent:end])); err != nil {
				return text[:sent], err
			}
		}
		sent = end
	}
	return text, nil
}

// nextWord returns the end of the word after start, with the space before the word.
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

// bound ends a text at the caller's stop words, and between words at the caller's limit. It
// reports whether the text is longer than the limit.
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

func toolNames(opts llms.CallOptions) map[string]bool {
	names := make(map[string]bool, len(opts.Tools))
	for _, t := range opts.Tools {
		if t.Function != nil {
			names[t.Function.Name] = true
		}
	}
	return names
}
