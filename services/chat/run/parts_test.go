package run

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// The helpers of the tests of single parts. The tests of the whole room use a database
// (replica_test.go).

var errUnavailable = errors.New("the database is unavailable")

// memory is a store in memory for one part at a time.
type memory struct {
	mu       sync.Mutex
	err      error
	appended []*batch
	owned    map[string]bool // the runs that an append returns
	run      Run
	stored   []*chatv1.RunEvent
	lost     []claimed
	claims   int
	pings    int
	onAppend func()
}

func (m *memory) append(_ context.Context, b *batch, _ time.Time) (map[string]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.onAppend != nil {
		m.onAppend()
	}
	if m.err != nil {
		return nil, m.err
	}
	m.appended = append(m.appended, b)
	return m.owned, nil
}

func (m *memory) get(context.Context, postgres.Scope, string) (Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.run, m.err
}

func (m *memory) events(_ context.Context, _ postgres.Scope, _ string, after int32) ([]*chatv1.RunEvent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := min(int(after), len(m.stored))
	return m.stored[from:min(from+replayPage, len(m.stored))], m.err
}

func (m *memory) claim(context.Context) ([]claimed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claims++
	return slices.Clone(m.lost), m.err
}

func (m *memory) ping(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pings++
	return m.err
}

// idle is a writer that only counts the requests to write.
type idle struct{ wakes, urgent int }

func (w *idle) wake() { w.wakes++ }

func (w *idle) wakeNow() { w.urgent++ }

func (*idle) withoutWrites(fn func()) { fn() }

func newFakeClock() *clock.Fake { return clock.NewFake(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)) }

func testConfig() Config { return Config{Lease: time.Minute, Block: 16}.withDefaults() }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func testUsage(t *testing.T) *usage {
	t.Helper()
	u, err := newUsage(metricnoop.NewMeterProvider().Meter("test"))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// executing returns a run that is executed here, with a number of events, and its
// context.
func executing(t *testing.T, runs *liveRuns, clk clock.Clock, events int) (*liveRun, context.Context) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	l := newLiveRun(postgres.Scope{OrganizationID: id.New(), UserID: id.New()}, Run{ID: id.New()}, firstAttempt, cancel)
	l.lease, l.leased, l.reserved = time.Minute, clk.Now(), 16
	for range events {
		l.append(&chatv1.RunEvent{}, clk.Now())
	}
	runs.addExecuted(l)
	return l, ctx
}
