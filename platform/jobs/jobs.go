// Package jobs is work that outlives a request: it is inserted in the
// transaction that causes it, so it exists exactly when that commits, and is
// done by workers in any process of the service.
//
// A job's arguments are a struct that tells its kind and, by embedding [Tenant]
// or [System], for whom it works:
//
//	type IndexDocument struct {
//		jobs.Tenant
//		DocumentID string `json:"documentId"`
//	}
//
//	func (IndexDocument) Kind() string { return "index_document" }
//
// Its handler gets that as a scope, which it passes on to the store:
//
//	workers := jobs.NewWorkers()
//	err := jobs.Handle(workers, func(ctx context.Context, scope postgres.Scope, job jobs.Job[IndexDocument]) error {
//		return indexer.Index(ctx, scope, job.Args.DocumentID)
//	}, jobs.WorkOptions{Timeout: time.Minute})
//
// A handler may run more than once for one job, as a process can die between
// the work and the note that it is done. Write it so that this does no harm.
//
// # Failure
//
// A job that fails is tried again with growing waits, up to its number of attempts.
// A fault that blames the job's own input (INVALID_ARGUMENT, NOT_FOUND,
// DOCUMENT_MALFORMED and their like), or an error marked as [Permanent], ends it at
// once, because another attempt would fail in the same way. Such a job is logged,
// and counted among the cancelled jobs of gatehouse.jobs. What is kept with the job
// is the fault's public text; the cause goes to the log.
//
// # Where it lives
//
// The queue is River's, in a schema of the service's own, "jobs_chat" for
// example. One schema for all services would be simpler to look at and wrong:
// the leader that River elects per schema discards jobs of kinds it does not
// know when it finds them stuck, and runs its own schedules only.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

// defaultTimeout bounds one run of a handler that names no timeout.
const defaultTimeout = time.Minute

// Args is what a job is about. It is stored as JSON.
type Args interface {
	// Kind names the type of job; it must never change while jobs of it exist.
	Kind() string
	// Scope says for whom the job works.
	Scope() postgres.Scope
}

// Tenant is embedded in the arguments of jobs that work for an organization.
type Tenant struct {
	// OrganizationID is whose rows the job may touch.
	OrganizationID string `json:"organizationId"`
	// UserID is the user on whose behalf it works, if there is one.
	UserID string `json:"userId,omitempty"`
}

// Scope is that of the organization and the user.
func (t Tenant) Scope() postgres.Scope {
	return postgres.Scope{OrganizationID: t.OrganizationID, UserID: t.UserID}
}

// System is embedded in the arguments of jobs of no organization: sweeps and
// rollups.
type System struct{}

// Scope is empty: row level security shows such a job no organization's rows.
func (System) Scope() postgres.Scope { return postgres.Scope{} }

// Job is one run of a job.
type Job[T Args] struct {
	// ID is the job's number, for the log.
	ID int64
	// Attempt counts from 1 to MaxAttempts.
	Attempt, MaxAttempts int
	// CreateTime is when the job was inserted.
	CreateTime time.Time
	// Args are what it was inserted with.
	Args T
}

// LastAttempt says that a failure now is final.
func (j Job[T]) LastAttempt() bool { return j.Attempt >= j.MaxAttempts }

// Workers hold the handlers of a service.
type Workers struct{ river *river.Workers }

// NewWorkers returns an empty set of handlers.
func NewWorkers() *Workers { return &Workers{river: river.NewWorkers()} }

// WorkOptions say how a kind of job is run.
type WorkOptions struct {
	// Timeout bounds one run; 0 means a minute.
	Timeout time.Duration
}

// Handle registers the handler of a kind of job. It fails when the kind has one
// already.
func Handle[T Args](w *Workers, fn func(ctx context.Context, scope postgres.Scope, job Job[T]) error, opts WorkOptions) error {
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	if err := river.AddWorkerSafely(w.river, &worker[T]{fn: fn, timeout: opts.Timeout}); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	return nil
}

// worker is a handler as River wants it.
type worker[T Args] struct {
	river.WorkerDefaults[T]
	fn      func(ctx context.Context, scope postgres.Scope, job Job[T]) error
	timeout time.Duration
}

func (w *worker[T]) Timeout(*river.Job[T]) time.Duration { return w.timeout }

func (w *worker[T]) Work(ctx context.Context, job *river.Job[T]) error {
	return verdict(w.fn(ctx, job.Args.Scope(), Job[T]{
		ID: job.ID, Attempt: job.Attempt, MaxAttempts: job.MaxAttempts, CreateTime: job.CreatedAt, Args: job.Args,
	}))
}

// Periodic inserts a job at intervals, once for all processes of the service.
type Periodic struct {
	// Every is the interval, a day at most. The first job is inserted at once,
	// unless the current interval has had one: restarts neither skip nor repeat.
	Every time.Duration
	// Args are the job's.
	Args Args
}

// maxPeriod is how long River keeps finished jobs, by which it knows that an
// interval has had its own.
const maxPeriod = 24 * time.Hour

func (p Periodic) validate() error {
	switch {
	case p.Args == nil:
		return errors.New("jobs: a periodic job has no arguments")
	case p.Every < time.Second || p.Every > maxPeriod:
		return fmt.Errorf("jobs: %s is to run every %v, want a second to a day", p.Args.Kind(), p.Every)
	}
	return nil
}
