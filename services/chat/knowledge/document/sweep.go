package document

import (
	"context"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/jobs"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// abandonedAfter is longer than all attempts at a document and the waits
	// between them take together.
	abandonedAfter = 24 * time.Hour
	sweepEvery     = time.Hour
)

// Sweep is the job that fails documents which nobody indexes anymore.
type Sweep struct{ jobs.System }

// Kind implements jobs.Args.
func (Sweep) Kind() string { return "sweep_documents" }

// Periodic says when the sweep is due.
func (x *Indexer) Periodic() jobs.Periodic { return jobs.Periodic{Every: sweepEvery, Args: Sweep{}} }

// sweep ends what would wait for ever, so that its owner learns of it.
func (x *Indexer) sweep(ctx context.Context, _ postgres.Scope, _ jobs.Job[Sweep]) error {
	f := indexingFailed(nil)
	now := x.clock.Now()
	return x.store.failAbandoned(ctx, now.Add(-abandonedAfter), now, f)
}

// indexingFailed is what a document's owner is told when the reason is not the
// document.
func indexingFailed(cause error) *fault.Fault {
	return fault.Wrap(cause, faultv1.Reason_REASON_DOCUMENT_INDEXING_FAILED,
		"The document could not be indexed. Delete it and upload it again, or ask your administrator.")
}
