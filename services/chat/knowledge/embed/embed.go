// Package embed converts text to vectors, for the search by vector.
//
// An [Embedder] has a version, which is stored with every vector. Vectors of different
// versions cannot be compared. So after a change of the embedder, documents must be embedded
// again; the stored version shows which ones.
//
// [Hash], the default, needs no key, no network and no model. It hashes words and character
// n-grams. So it finds texts with similar spelling, also misspelled and inflected words, in
// any language. It does not represent meaning: a paraphrase is as distant as any other text.
// To search by meaning, configure an embedding endpoint.
package embed

import (
	"context"
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Embedder converts texts to vectors. It is safe for concurrent use.
type Embedder interface {
	// Version identifies the method and the dimensions.
	Version() string
	// Dimensions is the length of every vector.
	Dimensions() int
	// Embed returns a unit vector for each text, in the order of the texts. It sends the
	// texts in batches of the size that its provider allows. It returns faults.
	Embed(ctx context.Context, texts []string) ([][]float32, error)
}

// Factory returns the embedder of a provider with the name after the slash.
type Factory func(name string) (Embedder, error)

// Open returns the embedder with a full name, provider/name, of one of the configured
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
		return nil, fault.New(faultv1.Reason_REASON_MODEL_NOT_CONFIGURED, "No embedding provider %q is configured; the providers are: %s.", provider, strings.Join(names, ", "))
	}
	return factory(rest)
}

// LocalName is the full name of the local embedder, [Hash].
const LocalName = "local/hash-ngram-v1"

// Local is the Factory of the provider "local".
func Local(name string) (Embedder, error) {
	if name != "hash-ngram-v1" {
		return nil, fault.New(faultv1.Reason_REASON_MODEL_NOT_CONFIGURED, "There is no local embedder %q; the only one is hash-ngram-v1.", name)
	}
	return NewHash(), nil
}
