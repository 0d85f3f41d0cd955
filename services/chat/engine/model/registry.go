package model

import (
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Provider has the models of one provider.
type Provider interface {
	// Model returns the model with a name, or a fault when the provider does not have it.
	Model(name string) (Model, error)
}

// ProviderFunc is a function that implements [Provider].
type ProviderFunc func(name string) (Model, error)

// Model implements Provider.
func (f ProviderFunc) Model(name string) (Model, error) { return f(name) }

// Registry finds models by provider/name. It does not change, so it is safe for concurrent
// use.
type Registry struct {
	providers map[string]Provider
	byDefault string
}

// NewRegistry returns a registry. defaultModel is the model of assistants that name no model;
// a provider must have it.
func NewRegistry(defaultModel string, providers map[string]Provider) (*Registry, error) {
	r := &Registry{providers: make(map[string]Provider, len(providers)), byDefault: defaultModel}
	for name, provider := range providers {
		r.providers[name] = provider
	}
	if _, err := r.Model(defaultModel); err != nil {
		return nil, err
	}
	return r, nil
}

// Default returns the full name of the default model.
func (r *Registry) Default() string { return r.byDefault }

// Providers returns the names of the configured providers, sorted.
func (r *Registry) Providers() []string {
	names := make([]string, 0, len(r.providers))
	for name := range r.providers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Model returns the model with a full name, with fallbacks. An empty name means the default.
func (r *Registry) Model(name string, fallbacks ...string) (Model, error) {
	first, err := r.one(name)
	if err != nil {
		return nil, err
	}
	others := make([]Model, 0, len(fallbacks))
	for _, fallback := range fallbacks {
		next, err := r.one(fallback)
		if err != nil {
			return nil, err
		}
		others = append(others, next)
	}
	return WithFallback(first, others...), nil
}

func (r *Registry) one(name string) (Model, error) {
	if name == "" {
		name = r.byDefault
	}
	provider, rest, ok := strings.Cut(name, "/")
	if !ok || provider == "" || rest == "" {
		return nil, fault.New(faultv1.Reason_REASON_MODEL_NOT_CONFIGURED, "%q is not a model name: it must be provider/name, such as local/extractive.", name)
	}
	p, ok := r.providers[provider]
	if !ok {
		return nil, fault.New(faultv1.Reason_REASON_MODEL_NOT_CONFIGURED, "No model provider %q is configured; the providers are: %s.", provider, strings.Join(r.Providers(), ", "))
	}
	return p.Model(rest)
}
