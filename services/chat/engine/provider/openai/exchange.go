package openai

import (
	"context"
	"strings"
	"sync"

	"github.com/gatehouse/gatehouse/services/chat/engine/model"
)

// exchange is the state of one call that the transport and the adapter share. langchaingo
// reads the transport on another goroutine: mu guards the fields below it.
type exchange struct {
	model   string
	request model.Request
	options Options

	mu       sync.Mutex
	failure  error
	accepted bool
	finish   string
	usage    *wireUsage
	payloads int
	// toolsFrom is the number of the first payload with tool calls, or -1. All payloads
	// after it contain tool calls or nothing.
	toolsFrom int
}

type exchangeKey struct{}

func newExchange(name string, req model.Request, options Options) *exchange {
	return &exchange{model: name, request: req, options: options, toolsFrom: -1}
}

func withExchange(ctx context.Context, ex *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, ex)
}

func exchangeOf(ctx context.Context) (*exchange, bool) {
	ex, ok := ctx.Value(exchangeKey{}).(*exchange)
	return ex, ok
}

// fail records the first failure and returns it. Later failures are its consequences.
func (e *exchange) fail(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failure == nil {
		e.failure = err
	}
	return e.failure
}

func (e *exchange) failed() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failure
}

// accept records that the server has accepted the request. From then on the call costs tokens.
func (e *exchange) accept() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.accepted = true
}

func (e *exchange) wasAccepted() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.accepted
}

func (e *exchange) setFinish(reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.finish = reason
}

func (e *exchange) finished() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.finish != ""
}

func (e *exchange) setUsage(usage *wireUsage) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.usage = usage
}

// payload counts a payload before it is passed to langchaingo.
func (e *exchange) payload(tools bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if tools && e.toolsFrom < 0 {
		e.toolsFrom = e.payloads
	}
	e.payloads++
}

func (e *exchange) isToolPayload(ordinal int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.toolsFrom >= 0 && ordinal >= e.toolsFrom
}

// fill adds the finish reason and the usage, as the transport has read them, to a result.
func (e *exchange) fill(result *model.Result) {
	e.mu.Lock()
	defer e.mu.Unlock()
	result.Finish = model.FinishReason(e.finish)
	if e.usage != nil {
		result.Usage = model.Usage{InputTokens: e.usage.PromptTokens, OutputTokens: e.usage.CompletionTokens}
	}
}

// reasoning reports whether the model refuses sampling parameters.
func (e *exchange) reasoning() bool {
	name := e.model
	if i := strings.LastIndex(name, "/"); i >= 0 {
		name = name[i+1:]
	}
	for _, prefix := range []string{"o1", "o3", "o4", "gpt-5"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
