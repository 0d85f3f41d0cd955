package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

const (
	// defaultMaxAttempts makes the retries take about two and a half hours.
	defaultMaxAttempts = 8
	// defaultWorkers is the number of jobs of a queue that one process runs at once.
	defaultWorkers = 10
	// cancelTimeout is how long running jobs may take to end after they are canceled.
	cancelTimeout = 5 * time.Second
)

// DefaultQueue is the queue of jobs that name no queue.
const DefaultQueue = river.QueueDefault

// Options configure a client.
type Options struct {
	// Workers are the service's handlers. When nil, the client only inserts jobs.
	Workers *Workers
	// Queues are the queues that the client works, and how many jobs of each it runs at
	// once. Nil means the default queue with ten jobs at once.
	Queues map[string]int
	// Periodic jobs are inserted at intervals.
	Periodic []Periodic
	// MaxAttempts is for jobs that do not set it; 0 means 8.
	MaxAttempts int
	// Log receives warnings and errors. Nil discards them.
	Log *slog.Logger
	// MeterProvider may be nil: then nothing is measured.
	MeterProvider metric.MeterProvider
	// Clock may be nil: then the system's clock is used.
	Clock clock.Clock
}

func (o Options) withDefaults() Options {
	if o.Queues == nil {
		o.Queues = map[string]int{DefaultQueue: defaultWorkers}
	}
	if o.MaxAttempts == 0 {
		o.MaxAttempts = defaultMaxAttempts
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MeterProvider == nil {
		o.MeterProvider = metricnoop.NewMeterProvider()
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	return o
}

// Client inserts jobs. After Start it also runs them.
type Client struct {
	river   *river.Client[pgx.Tx]
	db      *postgres.DB
	opts    Options
	sampler sampler
	running atomic.Bool
	// cancel ends the goroutines that Start began; done waits for them.
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Open returns a client for the queue of the pool's service. It does not connect.
func Open(db *postgres.DB, opts Options) (*Client, error) {
	opts = opts.withDefaults()
	config := &river.Config{
		Schema:       postgres.JobsSchema(db.Role()),
		MaxAttempts:  opts.MaxAttempts,
		Logger:       slog.New(quiet{opts.Log.Handler()}),
		ErrorHandler: &reporter{log: opts.Log},
		// With a pooler, LISTEN never delivers.
		PollOnly: db.Pooled(),
	}
	if opts.Workers != nil {
		config.Workers = opts.Workers.river
		config.Queues = make(map[string]river.QueueConfig, len(opts.Queues))
		for name, workers := range opts.Queues {
			config.Queues[name] = river.QueueConfig{MaxWorkers: workers}
		}
	}
	for _, periodic := range opts.Periodic {
		if err := periodic.validate(); err != nil {
			return nil, err
		}
		config.PeriodicJobs = append(config.PeriodicJobs, periodic.river())
	}
	client, err := river.NewClient(riverpgxv5.New(db.Pool()), config)
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	c := &Client{river: client, db: db, opts: opts}
	c.sampler.queues = slices.Collect(maps.Keys(opts.Queues))
	c.sampler.table = pgx.Identifier{config.Schema, "river_job"}.Sanitize()
	return c, nil
}

func (p Periodic) river() *river.PeriodicJob {
	insert := func() (river.JobArgs, *river.InsertOpts) {
		return p.Args, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: p.Every}}
	}
	return river.NewPeriodicJob(river.PeriodicInterval(p.Every), insert, &river.PeriodicJobOpts{RunOnStart: true})
}

// InsertOptions configure one job.
type InsertOptions struct {
	// Queue is the queue of the job; empty means the default queue.
	Queue string
	// MaxAttempts overrides the client's.
	MaxAttempts int
	// At is the earliest time to run it; zero means now.
	At time.Time
	// Unique makes Insert do nothing when a job with the same kind and arguments is not
	// finished yet.
	Unique bool
}

// unfinished are the states in which a job still counts for Unique.
func unfinished() []rivertype.JobState {
	return []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
		rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}
}

// Insert adds a job in the transaction of the change that causes it.
func (c *Client) Insert(ctx context.Context, tx pgx.Tx, args Args, opts InsertOptions) error {
	insert := &river.InsertOpts{Queue: opts.Queue, MaxAttempts: opts.MaxAttempts, ScheduledAt: opts.At}
	if opts.Unique {
		insert.UniqueOpts = river.UniqueOpts{ByArgs: true, ByState: unfinished()}
	}
	if _, err := c.river.InsertTx(ctx, tx, args, insert); err != nil {
		return fmt.Errorf("jobs: inserting %s: %w", args.Kind(), postgres.MapError(err))
	}
	return nil
}

// Start starts to run jobs. The client runs them until Stop, also after ctx has ended.
func (c *Client) Start(ctx context.Context) error {
	if c.opts.Workers == nil {
		return errors.New("jobs: this client has no workers")
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	registration, err := c.sampler.observe(c.opts.MeterProvider)
	if err != nil {
		cancel()
		return err
	}
	if err := c.river.Start(ctx); err != nil {
		cancel()
		return errors.Join(fmt.Errorf("jobs: %w", postgres.MapError(err)), registration.Unregister())
	}
	c.running.Store(true)
	c.cancel = cancel
	c.done.Go(func() {
		c.sample(ctx)
		// Unregister fails only when the provider was stopped before.
		_ = registration.Unregister()
	})
	return nil
}

// Stop starts no more jobs and waits for the running ones. When ctx ends first, it
// cancels them, and another process retries them.
func (c *Client) Stop(ctx context.Context) error {
	if !c.running.CompareAndSwap(true, false) {
		return nil
	}
	err := c.river.Stop(ctx)
	if err != nil {
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
		defer cancel()
		err = c.river.StopAndCancel(short)
	}
	c.cancel()
	c.done.Wait()
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	return nil
}

// Healthy reports whether the workers run and have reached their queue recently.
func (c *Client) Healthy() bool {
	return c.running.Load() && c.sampler.fresh(c.opts.Clock.Now())
}
