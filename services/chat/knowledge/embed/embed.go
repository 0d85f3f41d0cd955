// Package embed turns text into vectors for the nearest-neighbor leg of search.
//
// An [Embedder] is named by a version string that is stored with every vector: vectors
// of different versions cannot be compared, so changing the embedder means embedding
// again, and the version in the row says which rows are left to do.
//
// [Hash], the default, needs no key, no network and no model. It hashes words and
// character n-grams, so it finds what shares spelling, misspelled and inflected forms
// included, in any language; it knows nothing of meaning, and a paraphrase is as far
// away as any other text. It is a fuzzy lexical index. For meaning, configure an
// embedding endpoint.
package embed

import (
	"context"
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Embedder turns texts into vectors. It is safe for concurrent use.
type Embedder interface {
	// Version identifies what made a vector, its dimensions included.
	Version() string
	// Dimensions is the length of every vector.
	Dimensions() int
	// Embed returns a unit vector for each text, in the order of the texts. It batches
	// as its provider needs, and returns faults.
	Embed(ctx context.Context, texts []string) ([][]float32, error)
}

// Factory makes the embedder of a provider by the name after the slash.
type Factory func(name string) (Embedder, error)

// Open makes an embedder by its full name, provider/name, from the configured
// providers.
func Open(name string, providers map[string]Factory) (Embedder, error) {
	provider, rest, ok := strings.Cut(name, "/")
	if !ok || provider == "" || rest == "" {
		return nil, fault.New(faultv1.Reason_REASON_MODEL_NOT_CONFIGURED, "%q is not the name of an embedder: it must be provider/name, such as %s.", name, LocalName)
	}
	factory, ok := providers[provider]
	if !ok {
		names := make([]string, 0, len(providers))
		for known := range providers {
			names = append(names, known)
		}
		slices.Sort(names)
		return nil, fault.New(faultv1.Reason_REASON_MODEL_NOT_CONFIGURED, "No embedding provider %q is configured; there is %s.", provider, strings.Join(names, ", "))
	}
	return factory(rest)
}

// LocalName is the full name of the embedder that needs nothing.
const LocalName = "local/hash-ngram-v1"

// Local is the Factory of the provider "local".
func Local(name string) (Embedder, error) {
	if name != "hash-ngram-v1" {
		return nil, fault.New(faultv1.Reason_REASON_MODEL_NOT_CONFIGURED, "There is no local embedder %q; there is hash-ngram-v1.", name)
	}
	return NewHash(), nil
}
