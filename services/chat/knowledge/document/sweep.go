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
	// abandonedAfter is longer than all attempts to index a document, with the waits
	// between them.
	abandonedAfter = 24 * time.Hour
	sweepEvery     = time.Hour
)

// Sweep is the job that marks documents as FAILED that no job indexes any more.
type Sweep struct{ jobs.System }

// Kind implements jobs.Args.
func (Sweep) Kind() string { return "sweep_documents" }

// Periodic returns the schedule of the sweep.
func (x *Indexer) Periodic() jobs.Periodic { return jobs.Periodic{Every: sweepEvery, Args: Sweep{}} }

// sweep marks documents as FAILED that would wait forever, so that their owners see it.
func (x *Indexer) sweep(ctx context.Context, _ postgres.Scope, _ jobs.Job[Sweep]) error {
	f := indexingFailed(nil)
	now := x.deps.Clock.Now()
	return x.store.failAbandoned(ctx, now.Add(-abandonedAfter), now, f)
}

// indexingFailed returns the failure that a document's owner sees when the document is not
// the reason.
func indexingFailed(cause error) *fault.Fault {
	return fault.Wrap(cause, faultv1.Reason_REASON_DOCUMENT_INDEXING_FAILED,
		"The document could not be indexed. Delete it and upload it again, or ask your administrator.")
}
