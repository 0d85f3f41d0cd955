// Package jobs runs work after a request. A job is inserted in the transaction that
// causes it, so it exists exactly when that transaction commits. Workers in any process
// of the service run it.
//
// The arguments of a job are a struct with a method Kind. The struct embeds [Tenant] or
// [System], which defines the scope of the job:
//
//	type IndexDocument struct {
//		jobs.Tenant
//		DocumentID string `json:"documentId"`
//	}
//
//	func (IndexDocument) Kind() string { return "index_document" }
//
// The handler receives the scope and passes it to the store:
//
//	workers := jobs.NewWorkers()
//	err := jobs.Handle(workers, func(ctx context.Context, scope postgres.Scope, job jobs.Job[IndexDocument]) error {
//		return indexer.Index(ctx, scope, job.Args.DocumentID)
//	}, jobs.WorkOptions{Timeout: time.Minute})
//
// A handler may run more than once for one job, because a process can die after the
// work and before the job is marked as done. Write the handler so that this is safe.
//
// # Failure
//
// A failed job is retried with growing waits, up to its number of attempts. A fault
// about the input of the job (INVALID_ARGUMENT, NOT_FOUND, DOCUMENT_MALFORMED and
// similar ones), or an error marked as [Permanent], ends it at once, because another
// attempt would fail in the same way. Such a job is logged, and counted among the
// cancelled jobs of gatehouse.jobs. The fault's public text is stored with the job; the
// cause is logged.
//
// # Schema
//
// The queue is River's, in a schema of the service, "jobs_chat" for example. One schema
// for all services would not work: River elects a leader for each schema. It discards
// stuck jobs of unknown kinds, and runs only its own periodic jobs.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

// defaultTimeout bounds one run of a handler without a timeout.
const defaultTimeout = time.Minute

// Args are the arguments of a job. They are stored as JSON.
type Args interface {
	// Kind names the type of job. It must not change while such jobs exist.
	Kind() string
	// Scope returns the scope of the job's statements.
	Scope() postgres.Scope
}

// Tenant is embedded in the arguments of jobs that work for an organization.
type Tenant struct {
	// OrganizationID is the organization whose rows the job may access.
	OrganizationID string `json:"organizationId"`
	// UserID is the user on whose behalf the job works, if there is one.
	UserID string `json:"userId,omitempty"`
}

// Scope returns the scope of the organization and the user.
func (t Tenant) Scope() postgres.Scope {
	return postgres.Scope{OrganizationID: t.OrganizationID, UserID: t.UserID}
}

// System is embedded in the arguments of jobs without an organization, such as sweeps.
type System struct{}

// Scope returns an empty scope, in which no organization's rows are visible.
func (System) Scope() postgres.Scope { return postgres.Scope{} }

// Job is one run of a job.
type Job[T Args] struct {
	// ID is the job's number, for the log.
	ID int64
	// Attempt counts from 1 to MaxAttempts.
	Attempt, MaxAttempts int
	// CreateTime is when the job was inserted.
	CreateTime time.Time
	// Args are the arguments of the job.
	Args T
}

// LastAttempt reports whether a failure of this attempt is final.
func (j Job[T]) LastAttempt() bool { return j.Attempt >= j.MaxAttempts }

// Workers is the set of handlers of a service.
type Workers struct{ river *river.Workers }

// NewWorkers returns an empty set of handlers.
func NewWorkers() *Workers { return &Workers{river: river.NewWorkers()} }

// WorkOptions configure a kind of job.
type WorkOptions struct {
	// Timeout bounds one run; 0 means a minute.
	Timeout time.Duration
}

// Handle registers the handler of a kind of job. It fails when the kind already has a
// handler.
func Handle[T Args](w *Workers, fn func(ctx context.Context, scope postgres.Scope, job Job[T]) error, opts WorkOptions) error {
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	if err := river.AddWorkerSafely(w.river, &worker[T]{fn: fn, timeout: opts.Timeout}); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	return nil
}

// worker adapts a handler to River.
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
	// Every is the interval, a day at most. The first job is inserted at once, unless
	// there was already a job in the current interval. So a restart does not skip or
	// repeat a job.
	Every time.Duration
	// Args are the arguments of the job.
	Args Args
}

// maxPeriod is how long River keeps finished jobs. It finds the last job of an interval
// among them.
const maxPeriod = 24 * time.Hour

func (p Periodic) validate() error {
	switch {
	case p.Args == nil:
		return errors.New("jobs: a periodic job has no arguments")
	case p.Every < time.Second || p.Every > maxPeriod:
		return fmt.Errorf("jobs: the interval of %s is %v, want a second to a day", p.Args.Kind(), p.Every)
	}
	return nil
}
