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
	// maxUploads is how many uploads a process receives at once. Each is written to a
	// file, so this bounds the disk space: 1 GiB.
	maxUploads = 32
	// maxUploadsOfUser is how many of these may belong to one user, so that no user
	// blocks the others.
	maxUploadsOfUser = 4
	// uploadRetry is how long a refused client waits before it tries again.
	uploadRetry = 2 * time.Second
	// largeDocument is the size, in bytes, from which the memory of a document is
	// returned to the operating system at once. The garbage collector would keep it
	// for minutes.
	largeDocument = 4 << 20
	// smallDocument is the largest size, in bytes, of a document that does not wait for
	// large ones.
	smallDocument = 1 << 20
	// smallAtOnce is how many bytes of small documents are stored at once.
	smallAtOnce = 4 << 20
	// leastWeight is the number of bytes that the smallest document counts as, because
	// its request uses memory too.
	leastWeight = 64 << 10
	// storeWait is how long a document waits for memory before it is refused.
	storeWait = 5 * time.Second
)

// Budget bounds what a process spends on documents at once: the number of uploads, the
// memory of documents that are stored, and the memory of documents that are indexed. The
// service and the indexer of a process share one budget. It is safe for concurrent use.
//
// Storing has a semaphore of its own, because indexing takes minutes. Small documents have
// one too, because a semaphore serves in order and they would wait for large documents.
type Budget struct {
	small, large, indexing *semaphore.Weighted

	mu      sync.Mutex
	uploads map[string]int // by user
	total   int
}

// NewBudget returns a budget with memory for the largest document.
func NewBudget() *Budget {
	return &Budget{
		small:    semaphore.NewWeighted(smallAtOnce),
		large:    semaphore.NewWeighted(pieceSize),
		indexing: semaphore.NewWeighted(int64(parse.DefaultLimits().Bytes)),
		uploads:  map[string]int{},
	}
}

// upload counts a new upload of a user. The caller must call leave at its end. upload
// returns OVERLOADED when the user or the process already has as many uploads as allowed.
func (b *Budget) upload(userID string) (leave func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.uploads[userID] >= maxUploadsOfUser:
		return nil, fault.New(faultv1.Reason_REASON_OVERLOADED, "you already have %d uploads at once", maxUploadsOfUser).WithRetryAfter(uploadRetry)
	case b.total >= maxUploads:
		return nil, fault.New(faultv1.Reason_REASON_OVERLOADED, "the server already receives %d uploads at once", maxUploads).WithRetryAfter(uploadRetry)
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

// store waits until there is memory to store a document of a size; leave releases the
// memory. It returns OVERLOADED when it has waited for the duration wait.
func (b *Budget) store(ctx context.Context, size int, wait time.Duration) (leave func(), err error) {
	memory, weight := b.small, int64(max(size, leastWeight))
	if size > smallDocument {
		memory, weight = b.large, int64(min(size, pieceSize)) // it is stored in pieces
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := memory.Acquire(waiting, weight); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err() // fault.From converts it
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

// indexing is the memory of a document that is indexed.
type indexing struct {
	memory *semaphore.Weighted
	weight int64
	large  bool
}

// index waits until there is memory to read a document of a size.
func (b *Budget) index(ctx context.Context, size int) (*indexing, error) {
	// Small documents count as more than their size, because indexing uses memory too.
	weight := int64(min(max(size, smallDocument), parse.DefaultLimits().Bytes))
	if err := b.indexing.Acquire(ctx, weight); err != nil {
		return nil, err // the error of ctx, which fault.From converts
	}
	return &indexing{b.indexing, weight, size >= largeDocument}, nil
}

// shrink releases all memory but a size.
func (m *indexing) shrink(size int) {
	if m.large {
		debug.FreeOSMemory()
	}
	if rest := int64(max(size, smallDocument)); rest < m.weight {
		m.memory.Release(m.weight - rest)
		m.weight = rest
	}
}

// release releases all memory.
func (m *indexing) release() {
	if m.large {
		debug.FreeOSMemory()
	}
	m.memory.Release(m.weight)
}
