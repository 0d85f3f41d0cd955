package chat

import (
	"context"
	"time"

	"github.com/gatehouse/gatehouse/services/chat/engine"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
	"github.com/gatehouse/gatehouse/services/chat/engine/provider/local"
	"github.com/gatehouse/gatehouse/services/chat/engine/provider/openai"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
)

// wordPace is how long the local model waits before each word. Without the wait, the whole
// answer would be there at once, and no user would see that it streams.
const wordPace = 8 * time.Millisecond

// models are the models and the embedder of an installation.
type models struct {
	registry *model.Registry
	embedder embed.Embedder
	remote   *openai.Provider // nil when it is not configured
}

func openModels(cfg Config, deps Deps) (*models, error) {
	m := &models{}
	providers := map[string]model.Provider{
		local.ProviderName: local.New(local.Options{Pace: wordPace, Clock: deps.Clock}),
	}
	embedders := map[string]embed.Factory{local.ProviderName: embed.Local}
	if cfg.OpenAIKey != "" || cfg.OpenAIBaseURL != "" {
		remote, err := openai.New(openai.Options{
			BaseURL: cfg.OpenAIBaseURL, APIKey: cfg.OpenAIKey, Clock: deps.Clock, Tracer: deps.Tracer.Tracer(instrumentation),
		})
		if err != nil {
			return nil, err
		}
		m.remote = remote
		providers["openai"] = remote
		embedders["openai"] = func(name string) (embed.Embedder, error) {
			return remote.Embedder(name, migrations.Dimensions), nil
		}
	}
	var err error
	if m.registry, err = model.NewRegistry(cfg.Model, providers); err != nil {
		return nil, err
	}
	m.embedder, err = embed.Open(cfg.Embedder, embedders)
	return m, err
}

func (m *models) engine(deps Deps, searcher tool.Searcher) (*engine.Engine, error) {
	return engine.New(engine.Deps{
		Models: m.registry, Tools: []tool.Tool{tool.KnowledgeSearch(searcher), tool.Calculator()},
		Clock: deps.Clock, Tracer: deps.Tracer.Tracer(instrumentation),
	})
}

// Run checks the remote provider until ctx ends, after it has failed.
func (m *models) Run(ctx context.Context) error {
	if m.remote != nil {
		m.remote.Watch(ctx)
	}
	return nil
}

func (m *models) degraded() bool { return m.remote != nil && m.remote.Degraded() }
