package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/jobs"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	role postgres.Role = "work"
	acme string        = "01932c07-3b5a-7d21-8f6b-0c9a4e5d1b2f"
)

// sum is a job of an organization.
type sum struct {
	jobs.Tenant
	A int `json:"a"`
	B int `json:"b"`
}

func (sum) Kind() string { return "sum" }

// sweep is a job without an organization.
type sweep struct{ jobs.System }

func (sweep) Kind() string { return "sweep" }

func sumOf(a, b int) sum { return sum{Tenant: jobs.Tenant{OrganizationID: acme}, A: a, B: b} }

// lines is a log to which several goroutines may write.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements [io.Writer].
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns what was logged until now.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func config(t *testing.T) postgres.Config {
	t.Helper()
	cfg := pgtest.New(t, postgres.MigrationSet{Role: role, FS: fstest.MapFS{}}).Config()
	cfg.MaxConns = 8
	return cfg
}

func start(t *testing.T, db *postgres.DB, opts jobs.Options) *jobs.Client {
	t.Helper()
	client, err := jobs.Open(db, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		if err := client.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return client
}

func handle[T jobs.Args](t *testing.T, workers *jobs.Workers, fn func(context.Context, postgres.Scope, jobs.Job[T]) error) {
	t.Helper()
	if err := jobs.Handle(workers, fn, jobs.WorkOptions{Timeout: 30 * time.Second}); err != nil {
		t.Fatal(err)
	}
}

func insert(t *testing.T, db *postgres.DB, client *jobs.Client, args jobs.Args, opts jobs.InsertOptions, result error) {
	t.Helper()
	err := db.InTx(t.Context(), args.Scope(), func(ctx context.Context, tx pgx.Tx) error {
		return errors.Join(client.Insert(ctx, tx, args, opts), result)
	})
	if !errors.Is(err, result) {
		t.Fatal(err)
	}
}

// state waits until the only job of a kind is in a state, and returns its stored errors.
func state(t *testing.T, db *postgres.DB, kind, want string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		text, err := postgres.QueryOne(ctx, db, postgres.Scope{}, pgx.RowTo[string],
			"SELECT coalesce(array_to_string(errors, ' '), '') FROM jobs_work.river_job WHERE kind = $1 AND state::text = $2", kind, want)
		if err == nil {
			return text
		}
		if !errors.Is(err, postgres.ErrNoRows) {
			t.Fatalf("no job %s became %s: %v", kind, want, err)
		}
		<-ticker.C
	}
}

func TestInsert_TransactionCommits_JobRunsInItsScope(t *testing.T) {
	t.Parallel()
	direct := config(t)
	pooled := config(t)
	pooled.DirectURL = pooled.URL + "&application_name=direct"
	for name, cfg := range map[string]postgres.Config{"direct": direct, "pooled": pooled} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.OpenConfig(t, cfg, role)
			type run struct {
				scope postgres.Scope
				job   jobs.Job[sum]
			}
			ran := make(chan run, 10)
			workers := jobs.NewWorkers()
			handle(t, workers, func(_ context.Context, scope postgres.Scope, job jobs.Job[sum]) error {
				ran <- run{scope, job}
				return nil
			})
			client := start(t, db, jobs.Options{Workers: workers})

			insert(t, db, client, sumOf(1, 1), jobs.InsertOptions{}, errors.New("rolled back"))
			insert(t, db, client, sumOf(2, 3), jobs.InsertOptions{}, nil)
			got := <-ran
			if got.scope.OrganizationID != acme || got.job.Args.A != 2 || got.job.Args.B != 3 || got.job.Attempt != 1 || got.job.MaxAttempts != 8 || got.job.LastAttempt() {
				t.Errorf("ran %+v", got)
			}
			state(t, db, "sum", "completed")
			if len(ran) > 0 {
				t.Error("a job of a transaction that was rolled back ran")
			}
		})
	}
}

func TestFailure_OfInputOrOfServer_IsFinalOrRetried(t *testing.T) {
	t.Parallel()
	secret := errors.New("an internal detail")
	for name, test := range map[string]struct {
		err    error
		state  string
		stored string
	}{
		"own input":        {fault.Wrap(secret, faultv1.Reason_REASON_INVALID_ARGUMENT, "no such format"), "cancelled", "no such format"},
		"deleted":          {fault.NotFound("document"), "cancelled", "no such document"},
		"unavailable":      {fault.Wrap(secret, faultv1.Reason_REASON_DATABASE_UNAVAILABLE, "try later"), "retryable", "DATABASE_UNAVAILABLE"},
		"conflict":         {fault.Wrap(secret, faultv1.Reason_REASON_CONFLICT, "met"), "retryable", "met"},
		"marked":           {jobs.Permanent(fault.Wrap(secret, faultv1.Reason_REASON_INTERNAL, "never")), "cancelled", "never"},
		"unexpected":       {secret, "retryable", "INTERNAL"},
		"limited for long": {fault.Invalid("x", "y").WithRetryAfter(time.Second), "retryable", "INVALID_ARGUMENT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.OpenConfig(t, config(t), role)
			workers := jobs.NewWorkers()
			handle(t, workers, func(context.Context, postgres.Scope, jobs.Job[sum]) error { return test.err })
			var log lines
			client := start(t, db, jobs.Options{Workers: workers, Log: slog.New(slog.NewTextHandler(&log, nil))})
			insert(t, db, client, sumOf(1, 2), jobs.InsertOptions{}, nil)
			stored := state(t, db, "sum", test.state)
			// Gatehouse logs a job that fails finally, because River does not.
			if got, want := strings.Contains(log.String(), "permanent=true"), test.state == "cancelled"; got != want {
				t.Errorf("the log is %q", log.String())
			}
			if !strings.Contains(stored, test.stored) || strings.Contains(stored, secret.Error()) {
				t.Errorf("the stored error is %s", stored)
			}
		})
	}
}

func TestHandler_Panics_JobIsRetried(t *testing.T) {
	t.Parallel()
	db := pgtest.OpenConfig(t, config(t), role)
	workers := jobs.NewWorkers()
	handle(t, workers, func(context.Context, postgres.Scope, jobs.Job[sum]) error { panic("oh") })
	client := start(t, db, jobs.Options{Workers: workers})
	insert(t, db, client, sumOf(1, 2), jobs.InsertOptions{}, nil)
	state(t, db, "sum", "retryable")
	insert(t, db, client, sumOf(1, 2), jobs.InsertOptions{MaxAttempts: 1}, nil)
	state(t, db, "sum", "discarded")
}

func TestInsert_UniqueOrScheduled_WaitsOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.OpenConfig(t, config(t), role)
	client, err := jobs.Open(db, jobs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	later := jobs.InsertOptions{Unique: true, At: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	for range 3 {
		insert(t, db, client, sumOf(1, 2), later, nil)
	}
	insert(t, db, client, sumOf(1, 3), later, nil)
	count, err := postgres.QueryOne(t.Context(), db, postgres.Scope{}, pgx.RowTo[int], "SELECT count(*) FROM jobs_work.river_job WHERE state = 'scheduled'")
	if err != nil || count != 2 {
		t.Errorf("%d jobs are queued (%v), want 2", count, err)
	}
	if err := client.Start(t.Context()); err == nil {
		t.Error("a client without workers starts")
	}
}

func TestPeriodic_AfterARestart_RunsOncePerInterval(t *testing.T) {
	t.Parallel()
	db := pgtest.OpenConfig(t, config(t), role)
	ran := make(chan postgres.Scope, 10)
	options := func() jobs.Options {
		workers := jobs.NewWorkers()
		handle(t, workers, func(_ context.Context, scope postgres.Scope, _ jobs.Job[sweep]) error {
			ran <- scope
			return nil
		})
		return jobs.Options{Workers: workers, Periodic: []jobs.Periodic{{Every: 24 * time.Hour, Args: sweep{}}}}
	}
	first := start(t, db, options())
	if scope := <-ran; scope != (postgres.Scope{}) {
		t.Errorf("a job without an organization ran in the scope %+v", scope)
	}
	state(t, db, "sweep", "completed")
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := start(t, db, options())
	insert(t, db, second, sweep{}, jobs.InsertOptions{Queue: "default"}, nil)
	<-ran // the job that the test inserted
	if len(ran) > 0 {
		t.Error("the restart repeated the periodic job")
	}
	for _, periodic := range []jobs.Periodic{{Every: time.Hour}, {Every: time.Millisecond, Args: sweep{}}, {Every: 48 * time.Hour, Args: sweep{}}} {
		if _, err := jobs.Open(db, jobs.Options{Workers: jobs.NewWorkers(), Periodic: []jobs.Periodic{periodic}}); err == nil {
			t.Errorf("Open accepts %+v", periodic)
		}
	}
}

func TestStop_JobDoesNotEnd_IsCanceledAndQueued(t *testing.T) {
	t.Parallel()
	db := pgtest.OpenConfig(t, config(t), role)
	running := make(chan struct{})
	workers := jobs.NewWorkers()
	handle(t, workers, func(ctx context.Context, _ postgres.Scope, _ jobs.Job[sum]) error {
		close(running)
		<-ctx.Done()
		return ctx.Err()
	})
	client := start(t, db, jobs.Options{Workers: workers})
	insert(t, db, client, sumOf(1, 2), jobs.InsertOptions{}, nil)
	<-running
	expired, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := client.Stop(expired); err != nil {
		t.Errorf("Stop = %v", err)
	}
	// It is queued for another process, and this attempt is not counted.
	state(t, db, "sum", "available")
}

func TestClient_ReportsHealthAndMetrics(t *testing.T) {
	t.Parallel()
	db := pgtest.OpenConfig(t, config(t), role)
	reader := metric.NewManualReader()
	workers := jobs.NewWorkers()
	handle(t, workers, func(context.Context, postgres.Scope, jobs.Job[sum]) error { return nil })
	inserter, err := jobs.Open(db, jobs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	insert(t, db, inserter, sumOf(1, 2), jobs.InsertOptions{At: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}, nil)
	if inserter.Healthy() {
		t.Error("a client that was not started is healthy")
	}
	client := start(t, db, jobs.Options{Workers: workers, MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !client.Healthy() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal("the workers never became healthy")
		}
	}
	if got, points := gauge(t, reader); got != 1 || points != 7 {
		t.Errorf("gatehouse.jobs adds up to %d, want the scheduled one; it has %d states, want all 7", got, points)
	}
	if err := client.Stop(t.Context()); err != nil || client.Healthy() {
		t.Errorf("after Stop: healthy = %v, %v", client.Healthy(), err)
	}
}

func gauge(t *testing.T, reader *metric.ManualReader) (sum int64, points int) {
	t.Helper()
	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &metrics); err != nil {
		t.Fatal(err)
	}
	for _, scope := range metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			if data, ok := m.Data.(metricdata.Gauge[int64]); ok && m.Name == "gatehouse.jobs" {
				points += len(data.DataPoints)
				for _, point := range data.DataPoints {
					sum += point.Value
				}
			}
		}
	}
	return sum, points
}
