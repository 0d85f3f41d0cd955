package embed_test

import (
	"context"
	"math"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
)

// goldenSum was computed once, when the version was introduced.
const goldenSum = -324.705831

func vector(t *testing.T, text string) []float32 {
	t.Helper()
	vectors, err := embed.NewHash().Embed(t.Context(), []string{text})
	if err != nil {
		t.Fatal(err)
	}
	return vectors[0]
}

func dot(a, b []float32) float64 {
	var sum float64
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestHash_VectorsAreStableUnitVectors(t *testing.T) {
	t.Parallel()

	t.Run("every text has a unit vector", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{"", "?!", "the of and", "Urlaub für Mitarbeiter", "日本語のテキスト", "🙂", "a"} {
			v := vector(t, text)
			if len(v) != embed.NewHash().Dimensions() || math.Abs(dot(v, v)-1) > 1e-5 {
				t.Errorf("%q: %d dimensions, square %f", text, len(v), dot(v, v))
			}
		}
	})

	t.Run("texts with similar spelling are near", func(t *testing.T) {
		t.Parallel()
		question := vector(t, "How many vacaton days do employees get?")
		right := dot(question, vector(t, "Every employee has 30 vacation days a year."))
		wrong := dot(question, vector(t, "The server restarts after a failed update."))
		if right < 0.3 || right < wrong+0.2 {
			t.Errorf("right %.2f, wrong %.2f", right, wrong)
		}
	})

	t.Run("vectors never change within a version", func(t *testing.T) {
		t.Parallel()
		if v := embed.NewHash().Version(); v != "hash-ngram-v1/384" {
			t.Fatalf("a new version %q needs a new golden vector", v)
		}
		// The first components that are not zero, and a checksum over all.
		v := vector(t, "Gatehouse keeps 30 days of audit events. Größe: 5 MiB.")
		var sum float64
		for i, value := range v {
			sum += float64(value) * float64(i+1)
		}
		if math.Abs(sum-goldenSum) > 1e-4 {
			t.Errorf("checksum %.6f, want %.6f", sum, goldenSum)
		}
	})

	t.Run("a canceled context ends the embedding", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := embed.NewHash().Embed(ctx, []string{"a"}); !fault.Is(err, faultv1.Reason_REASON_CANCELLED) {
			t.Errorf("error %v", err)
		}
	})
}

func TestOpen_UnknownNames_AreRefused(t *testing.T) {
	t.Parallel()
	providers := map[string]embed.Factory{"local": embed.Local}
	if e, err := embed.Open(embed.LocalName, providers); err != nil || e.Version() != "hash-ngram-v1/384" {
		t.Errorf("%v, %v", e, err)
	}
	for _, name := range []string{"", "local", "local/other", "openai/x"} {
		if _, err := embed.Open(name, providers); !fault.Is(err, faultv1.Reason_REASON_MODEL_NOT_CONFIGURED) {
			t.Errorf("%q: error %v", name, err)
		}
	}
}

// BenchmarkHash measures the embedding of one chunk.
func BenchmarkHash(b *testing.B) {
	text := ""
	for len(text) < 900 {
		text += "The gateway streams answers word by word and keeps them resumable. "
	}
	for b.Loop() {
		if _, err := embed.NewHash().Embed(b.Context(), []string{text}); err != nil {
			b.Fatal(err)
		}
	}
}
