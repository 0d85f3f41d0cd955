package document

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/parse"
)

const (
	// maxUploads is how many uploads a process takes at once. Each is kept in a
	// file, so this bounds the disk space: 1 GiB.
	maxUploads = 32
	// maxUploadsOfUser is how many of these one user has, so that nobody keeps the
	// others out.
	maxUploadsOfUser = 4
	// uploadRetry is how long a refused client waits before it tries again.
	uploadRetry = 2 * time.Second
	// largeDocument is the size, in bytes, from which the memory of a document is
	// returned to the operating system at once. The garbage collector would keep
	// it for minutes.
	largeDocument = 4 << 20
	// smallDocument is up to what size a document does not wait for large ones.
	smallDocument = 1 << 20
	// smallAtOnce is how much of small documents is stored at once, in bytes.
	smallAtOnce = 4 << 20
	// leastWeight is what the smallest document counts as: what surrounds it takes
	// memory too.
	leastWeight = 64 << 10
	// takeInWait is how long a document waits for memory to be stored.
	takeInWait = 5 * time.Second
)

// Budget bounds what a process spends on documents at once: uploads that arrive,
// memory of those that are stored, and memory of those that are indexed. The service
// and the indexer of a process share one. It is safe for concurrent use.
//
// Indexing takes minutes, so what is taken in does not wait for it. Nor do small
// documents wait for large ones: a semaphore serves in order.
type Budget struct {
	small, large, indexing *semaphore.Weighted

	mu      sync.Mutex
	uploads map[string]int // by user
	total   int
}

// NewBudget returns a budget that has room for the largest document.
func NewBudget() *Budget {
	return &Budget{
		small:    semaphore.NewWeighted(smallAtOnce),
		large:    semaphore.NewWeighted(pieceSize),
		indexing: semaphore.NewWeighted(int64(parse.DefaultLimits().Bytes)),
		uploads:  map[string]int{},
	}
}

// upload counts a new upload of a user; the caller must call leave at its end.
// It returns OVERLOADED when the user or the process already has the most
// uploads.
func (b *Budget) upload(userID string) (leave func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.uploads[userID] >= maxUploadsOfUser:
		return nil, fault.New(faultv1.Reason_REASON_OVERLOADED, "you already have %d uploads at once", maxUploadsOfUser).WithRetryAfter(uploadRetry)
	case b.total >= maxUploads:
		return nil, fault.New(faultv1.Reason_REASON_OVERLOADED, "the server already takes %d uploads at once", maxUploads).WithRetryAfter(uploadRetry)
	}
	b.total++
	b.uploads[userID]++
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.total--
		if b.uploads[userID]--; b.uploads[userID] == 0 {
			delete(b.uploads, userID)
		}
	}, nil
}

// takeIn waits until there is memory to store a document of a size; leave gives it
// back. It refuses after it has waited for a while.
func (b *Budget) takeIn(ctx context.Context, size int, wait time.Duration) (leave func(), err error) {
	memory, weight := b.small, int64(max(size, leastWeight))
	if size > smallDocument {
		memory, weight = b.large, int64(min(size, pieceSize)) // it is stored piece by piece
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := memory.Acquire(waiting, weight); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err() //nolint:wrapcheck // fault.From knows it
		}
		return nil, fault.New(faultv1.Reason_REASON_OVERLOADED, "too many documents are stored at once").WithRetryAfter(uploadRetry)
	}
	return func() {
		if size >= largeDocument {
			debug.FreeOSMemory()
		}
		memory.Release(weight)
	}, nil
}

// held is memory of a document that is indexed.
type held struct {
	memory *semaphore.Weighted
	weight int64
	large  bool
}

// index waits until there is memory to read a document of a size.
func (b *Budget) index(ctx context.Context, size int) (*held, error) {
	// What surrounds a document takes memory too, so the smallest count as more.
	weight := int64(min(max(size, smallDocument), parse.DefaultLimits().Bytes))
	if err := b.indexing.Acquire(ctx, weight); err != nil {
		return nil, err //nolint:wrapcheck // the context's, which fault.From knows
	}
	return &held{b.indexing, weight, size >= largeDocument}, nil
}

// keep gives back all but a size.
func (h *held) keep(size int) {
	if h.large {
		debug.FreeOSMemory()
	}
	if rest := int64(max(size, smallDocument)); rest < h.weight {
		h.memory.Release(h.weight - rest)
		h.weight = rest
	}
}

// leave gives all of it back.
func (h *held) leave() {
	if h.large {
		debug.FreeOSMemory()
	}
	h.memory.Release(h.weight)
}
