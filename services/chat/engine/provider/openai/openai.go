package openai

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/tmc/langchaingo/llms"
	lcopenai "github.com/tmc/langchaingo/llms/openai"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
)

// Options configures a provider.
type Options struct {
	// Provider is the name before the slash in model names; "openai" when empty.
	Provider string
	// BaseURL usually ends in /v1. The default is that of OpenAI.
	BaseURL string
	// APIKey may be empty for servers that need none.
	APIKey string
	// LegacyMaxTokens sends max_tokens, for servers without max_completion_tokens.
	LegacyMaxTokens bool
	// Timeout bounds a call with all its attempts; two minutes when zero.
	Timeout time.Duration
	// Retry is model.DefaultRetry() when zero.
	Retry model.RetryPolicy
	// BreakerThreshold failures in a row open the breaker for BreakerPause; 5 and 15 s
	// when zero.
	BreakerThreshold int
	BreakerPause     time.Duration
	// Clock is required.
	Clock clock.Clock
	// Tracer is required.
	Tracer trace.Tracer
	// Base sends the requests. The default is a transport with timeouts.
	Base http.RoundTripper
}

const (
	defaultBaseURL = "https://api.openai.com/v1"
	// noKey replaces an empty key, because langchaingo requires one.
	noKey = "none"
)

// Provider has the models of one compatible server. It is safe for concurrent use.
type Provider struct {
	options Options
	client  *http.Client
	llm     llms.Model
	breaker *model.Breaker
}

var _ model.Provider = (*Provider)(nil)

// New returns a provider. It does not connect.
func New(options Options) (*Provider, error) {
	options = options.withDefaults()
	client := &http.Client{
		Transport: &transport{base: options.Base, provider: options.Provider},
		// A redirect would send the key to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	llm, err := lcopenai.New(
		lcopenai.WithToken(options.APIKey), lcopenai.WithBaseURL(options.BaseURL), lcopenai.WithHTTPClient(client),
		// Each call has the name of its model, but langchaingo requires a default.
		lcopenai.WithModel("unnamed"),
	)
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_MODEL_NOT_CONFIGURED, "The model provider %q is not configured correctly.", options.Provider)
	}
	return &Provider{
		options: options, client: client, llm: llm,
		breaker: model.NewBreaker(options.Provider, options.BreakerThreshold, options.BreakerPause, options.Clock),
	}, nil
}

func (o Options) withDefaults() Options {
	if o.Provider == "" {
		o.Provider = "openai"
	}
	if o.BaseURL == "" {
		o.BaseURL = defaultBaseURL
	}
	o.BaseURL = strings.TrimSuffix(o.BaseURL, "/")
	if o.APIKey == "" {
		o.APIKey = noKey
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Minute
	}
	if o.Retry.Tries == 0 {
		o.Retry = model.DefaultRetry()
	}
	if o.BreakerThreshold == 0 {
		o.BreakerThreshold = 5
	}
	if o.BreakerPause == 0 {
		o.BreakerPause = 15 * time.Second
	}
	if o.Base == nil {
		o.Base = newBaseTransport()
	}
	return o
}

// Degraded reports whether calls are refused for a pause, because the provider has failed
// repeatedly.
func (p *Provider) Degraded() bool { return p.breaker.Open() }

// Watch probes the provider after it has failed repeatedly, until it responds again. It
// returns when ctx ends.
func (p *Provider) Watch(ctx context.Context) { p.breaker.Watch(ctx) }

// Model implements model.Provider. It accepts any name, because only the server knows which
// models it has.
func (p *Provider) Model(name string) (model.Model, error) {
	var m model.Model = &chat{provider: p, name: name}
	m = model.WithTrace(m, p.options.Tracer)
	m = model.WithBreaker(m, p.breaker)
	m = model.WithRetry(m, p.options.Retry, p.options.Clock)
	return model.WithDeadline(m, p.options.Timeout), nil
}

// chat is a model. Its Stream makes one attempt.
type chat struct {
	provider *Provider
	name     string
}

func (c *chat) Name() string { return c.provider.options.Provider + "/" + c.name }

func (c *chat) Stream(ctx context.Context, req model.Request, emit func(model.Delta) error) (model.Result, error) {
	ex := newExchange(c.name, req, c.provider.options)
	var (
		text    strings.Builder
		emitErr error
		ordinal = -1
	)
	receive := func(_ context.Context, piece []byte) error {
		ordinal++
		if len(piece) == 0 || ex.isToolPayload(ordinal) {
			return nil
		}
		text.Write(piece)
		emitErr = emit(model.Delta{Text: string(piece)})
		return emitErr
	}
	options := append(model.CallOptions(req), llms.WithModel(c.name), llms.WithStreamingFunc(receive))
	response, err := c.provider.llm.GenerateContent(withExchange(ctx, ex), req.Messages, options...)
	result := model.Collect(response)
	result.Model, result.Text = c.Name(), text.String()
	ex.fill(&result)
	if err = c.outcome(ctx, ex, emitErr, err); err != nil {
		// The tool calls may be incomplete, so they must not be executed.
		result.ToolCalls = nil
	}
	if ex.wasAccepted() {
		result.Usage = model.OrEstimate(result, req)
	}
	return result, err
}

// outcome returns the error of a call, or nil. The error of langchaingo is considered last,
// because langchaingo returns none for a third of all canceled streams, and its texts do not
// show the cause.
func (c *chat) outcome(ctx context.Context, ex *exchange, emitErr, err error) error {
	if emitErr != nil {
		return emitErr
	}
	if ctx.Err() != nil {
		return fault.From(ctx.Err())
	}
	if failure := ex.failed(); failure != nil {
		return failure
	}
	if err != nil {
		return fault.Wrap(err, faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM, "The answer of the model provider %q could not be read.", c.provider.options.Provider)
	}
	if !ex.finished() {
		return truncated(c.provider.options.Provider)
	}
	return nil
}
