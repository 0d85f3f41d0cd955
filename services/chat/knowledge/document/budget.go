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
)

// Budget bounds what a process spends on documents at once: uploads that arrive,
// and memory of those that are stored or indexed. The service and the indexer of
// a process share one. It is safe for concurrent use.
type Budget struct {
	memory *semaphore.Weighted

	mu      sync.Mutex
	uploads map[string]int // by user
	total   int
}

// NewBudget returns a budget that has room for the largest document.
func NewBudget() *Budget {
	return &Budget{memory: semaphore.NewWeighted(int64(parse.DefaultLimits().Bytes)), uploads: map[string]int{}}
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

// hold waits until the budget has memory for a document of a size; leave gives it
// back.
func (b *Budget) hold(ctx context.Context, size int) (leave func(), err error) {
	// Handling a document takes memory beside its own, so small documents count
	// as this much.
	const least = 1 << 20
	weight := int64(min(max(size, least), parse.DefaultLimits().Bytes))
	if err := b.memory.Acquire(ctx, weight); err != nil {
		return nil, err //nolint:wrapcheck // the context's, which fault.From knows
	}
	return func() {
		if size >= largeDocument {
			debug.FreeOSMemory()
		}
		b.memory.Release(weight)
	}, nil
}
