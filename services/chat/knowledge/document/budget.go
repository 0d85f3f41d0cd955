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
	// maxUploads is how many uploads a process takes at once. Each keeps what came
	// in a file, so they are bounded for the disk: 1 GiB.
	maxUploads = 32
	// maxUploadsOfUser is how many of these one user has, so that nobody keeps the
	// others out.
	maxUploadsOfUser = 4
	// uploadRetry is when to come back.
	uploadRetry = 2 * time.Second
	// largeDocument is from what size on a document's memory is given back to the
	// system at once, in bytes. The collector would leave it for minutes.
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

// upload counts an upload of a user in; leave must be called at its end. It
// refuses one too many, of the user or of all.
func (b *Budget) upload(userID string) (leave func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.uploads[userID] >= maxUploadsOfUser:
		return nil, fault.New(faultv1.Reason_REASON_OVERLOADED, "more than %d uploads of yours at once", maxUploadsOfUser).WithRetryAfter(uploadRetry)
	case b.total >= maxUploads:
		return nil, fault.New(faultv1.Reason_REASON_OVERLOADED, "more than %d uploads at once", maxUploads).WithRetryAfter(uploadRetry)
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

// hold waits until there is memory for a document of a size; leave gives it back.
func (b *Budget) hold(ctx context.Context, size int) (leave func(), err error) {
	// What surrounds a document takes memory too, so the smallest count as more.
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
