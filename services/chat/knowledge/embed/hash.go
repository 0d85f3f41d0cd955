package embed

import (
	"context"
	"math"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/services/chat/engine/lexical"
)

// These values had the best results of the lexical embedders that were measured. A change of
// any of them requires a new version.
const (
	hashVersion    = "hash-ngram-v1/384"
	hashDimensions = 384

	wordWeight   = 1.0
	bigramWeight = 0.5
	gramWeight   = 0.35
	minGram      = 3
	maxGram      = 5
)

// Hash is the embedder hash-ngram-v1: words, pairs of words and character n-grams of
// three to five, hashed with a sign into 384 dimensions and normalized.
type Hash struct{}

var _ Embedder = (*Hash)(nil)

// NewHash returns the embedder.
func NewHash() *Hash { return &Hash{} }

// Version implements Embedder.
func (*Hash) Version() string { return hashVersion }

// Dimensions implements Embedder.
func (*Hash) Dimensions() int { return hashDimensions }

// Embed implements Embedder.
func (*Hash) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, fault.From(err)
		}
		vectors[i] = hashVector(text)
	}
	return vectors, nil
}

func hashVector(text string) []float32 {
	words := lexical.Content(text)
	if len(words) == 0 {
		// A text with only stop words has a vector too.
		words = lexical.Words(text)
	}
	var sums [hashDimensions]float64
	for i, word := range words {
		add(&sums, "w:", word, wordWeight)
		if i > 0 {
			add(&sums, "b:", words[i-1]+" "+word, bigramWeight)
		}
		addGrams(&sums, "^"+word+"$")
	}
	return normalize(&sums)
}

// addGrams adds the n-grams of a padded word, counted in characters.
func addGrams(sums *[hashDimensions]float64, word string) {
	for start := range word {
		end := start
		for n := 1; n <= maxGram && end < len(word); n++ {
			_, width := utf8.DecodeRuneInString(word[end:])
			end += width
			if n >= minGram {
				add(sums, "g:", word[start:end], gramWeight)
			}
		}
	}
}

// add hashes a feature to a dimension and a sign. With the sign, collisions cancel out on
// average instead of adding up.
func add(sums *[hashDimensions]float64, class, feature string, weight float64) {
	h := fnv1a(fnv1a(fnvOffset, class), feature)
	if h>>63 == 1 {
		weight = -weight
	}
	sums[h%hashDimensions] += weight
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// fnv1a returns the 64-bit FNV-1a hash of a string. Unlike hash/fnv, it does not allocate a
// copy of the string.
func fnv1a(h uint64, text string) uint64 {
	for i := range len(text) {
		h ^= uint64(text[i])
		h *= fnvPrime
	}
	return h
}

// normalize returns a unit vector. The vector of a text without words is the first axis,
// because the cosine distance to zero is not defined.
func normalize(sums *[hashDimensions]float64) []float32 {
	var square float64
	for _, value := range sums {
		square += value * value
	}
	vector := make([]float32, hashDimensions)
	if square == 0 {
		vector[0] = 1
		return vector
	}
	scale := 1 / math.Sqrt(square)
	for i, value := range sums {
		vector[i] = float32(value * scale)
	}
	return vector
}
