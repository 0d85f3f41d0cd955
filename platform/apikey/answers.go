package apikey

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// entries bounds the number of cached answers.
const entries = 4096

// answers caches the answers of auth about keys, including refusals, for [CacheTTL].
type answers[K comparable, V any] struct {
	clock clock.Clock
	known *lru.Cache[K, answer[V]]
}

type answer[V any] struct {
	value   V
	refusal error
	until   time.Time
}

func newAnswers[K comparable, V any](clk clock.Clock) (*answers[K, V], error) {
	known, err := lru.New[K, answer[V]](entries)
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the cache of keys cannot be created")
	}
	return &answers[K, V]{clock: clk, known: known}, nil
}

// of returns the cached answer about a key. When there is none, it calls ask with the
// present time.
func (a *answers[K, V]) of(key K, ask func(now time.Time) (V, error)) (V, error) {
	now := a.clock.Now()
	if known, ok := a.known.Get(key); ok && now.Before(known.until) {
		return known.value, known.refusal
	}
	value, err := ask(now)
	if err == nil || fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) || fault.Is(err, faultv1.Reason_REASON_ORIGIN_NOT_ALLOWED) {
		a.known.Add(key, answer[V]{value, err, now.Add(CacheTTL)})
	}
	return value, err
}
