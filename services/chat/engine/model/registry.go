package model

import (
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Provider makes models of one provider. It refuses a name that it cannot serve.
type Provider interface {
	Model(name string) (Model, error)
}

// ProviderFunc is a function that is a Provider.
type ProviderFunc func(name string) (Model, error)

// Model implements Provider.
func (f ProviderFunc) Model(name string) (Model, error) { return f(name) }

// Registry finds models by provider/name. It is fixed once made, and so is safe for
// concurrent use.
type Registry struct {
	providers map[string]Provider
	fallback  string
}

// NewRegistry makes a registry. defaultModel, which must be servable, answers for
// assistants that name no model.
func NewRegistry(defaultModel string, providers map[string]Provider) (*Registry, error) {
	r := &Registry{providers: make(map[string]Provider, len(providers)), fallback: defaultModel}
	for name, provider := range providers {
		r.providers[name] = provider
	}
	if _, err := r.Model(defaultModel); err != nil {
		return nil, err
	}
	return r, nil
}

// Default is the full name of the model that answers when none is named.
func (r *Registry) Default() string { return r.fallback }

// Providers lists the names of the configured providers, sorted.
func (r *Registry) Providers() []string {
	names := make([]string, 0, len(r.providers))
	for name := range r.providers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Model finds a model by its full name, with fallbacks behind it; an empty name
// means the default.
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
		name = r.fallback
	}
	provider, rest, ok := strings.Cut(name, "/")
	if !ok || provider == "" || rest == "" {
		return nil, fault.New(faultv1.Reason_REASON_MODEL_NOT_CONFIGURED, "%q is not a model name: it must be provider/name, such as local/extractive.", name)
	}
	p, ok := r.providers[provider]
	if !ok {
		return nil, fault.New(faultv1.Reason_REASON_MODEL_NOT_CONFIGURED, "No model provider %q is configured; there is %s.", provider, strings.Join(r.Providers(), ", "))
	}
	return p.Model(rest)
}
