package run

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

func newTestBatcher(m *memory, runs *liveRuns) *batcher {
	return newBatcher(testConfig(), "owner", m, runs, nil, newFakeClock(), discard())
}

func TestBatcher_EventsOfManyRuns_AreOneWrite(t *testing.T) {
	t.Parallel()
	m, runs := &memory{}, newLiveRuns()
	b := newTestBatcher(m, runs)
	first, _ := executing(t, runs, b.clock, 2)
	second, _ := executing(t, runs, b.clock, 3)
	executing(t, runs, b.clock, 0)
	m.owned = map[string]bool{first.run.ID: false, second.run.ID: false}
	if !b.flush(t.Context(), false, flushTimeout) {
		t.Fatal("the write failed")
	}
	if len(m.appended) != 1 || len(m.appended[0].runs) != 2 || len(m.appended[0].eventRuns) != 5 || m.appended[0].owner != "owner" {
		t.Fatalf("the writes are %+v, want one with five events of two runs", m.appended)
	}
	if first.written != 2 || second.reserved != 3+16 {
		t.Errorf("%d events are stored and %d reserved, want 2 and 19", first.written, second.reserved)
	}
	b.flush(t.Context(), false, flushTimeout)
	if len(m.appended) != 1 {
		t.Error("a write without new events took place")
	}
	b.flush(t.Context(), true, flushTimeout)
	if len(m.appended) != 2 || len(m.appended[1].runs) != 3 || len(m.appended[1].eventRuns) != 0 {
		t.Errorf("the renewal is %+v, want all three runs and no event", m.appended[1:])
	}
}

func TestBatcher_WriteFails_EventsArePartOfTheNext(t *testing.T) {
	t.Parallel()
	m, runs := &memory{err: errUnavailable}, newLiveRuns()
	b := newTestBatcher(m, runs)
	l, _ := executing(t, runs, b.clock, 2)
	if b.flush(t.Context(), false, flushTimeout) || len(b.dirty) != 1 {
		t.Error("a failed write is reported as stored, or is not retried")
	}
	m.err, m.owned = nil, map[string]bool{l.run.ID: false}
	if !b.flush(t.Context(), false, flushTimeout) || len(m.appended) != 1 || len(m.appended[0].eventRuns) != 2 {
		t.Errorf("the writes are %+v, want one with two events", m.appended)
	}
}

func TestBatcher_Write_ReportsToEachRun(t *testing.T) {
	t.Parallel()
	m, runs := &memory{}, newLiveRuns()
	b := newTestBatcher(m, runs)
	lost, lostCtx := executing(t, runs, b.clock, 1)
	cancelled, cancelledCtx := executing(t, runs, b.clock, 1)
	ended, endedCtx := executing(t, runs, b.clock, 1)
	ended.end(ending{state: chatv1.Run_COMPLETED}, 0, b.clock.Now())
	m.owned = map[string]bool{cancelled.run.ID: true, ended.run.ID: false}
	b.flush(t.Context(), false, flushTimeout)
	if cause := context.Cause(lostCtx); !errors.Is(cause, errLost) || runs.find(lost.run.ID) != nil {
		t.Errorf("the lost run has the cause %v, or is kept", cause)
	}
	if cause := context.Cause(cancelledCtx); !errors.Is(cause, errCancelled) || runs.find(cancelled.run.ID) == nil {
		t.Errorf("the canceled run has the cause %v, or is removed before its end is stored", cause)
	}
	if _, stored := ended.shown(); !stored || endedCtx.Err() != nil || runs.find(ended.run.ID) != nil {
		t.Error("the ended run is not shown as ended, is canceled, or is kept")
	}
}

// A run that this process claims again between collecting and writing is neither lost nor
// stored.
func TestBatcher_RunClaimedAgain_IsWrittenAgain(t *testing.T) {
	t.Parallel()
	m, runs := &memory{}, newLiveRuns()
	b := newTestBatcher(m, runs)
	l, ctx := executing(t, runs, b.clock, 1)
	m.onAppend = func() { l.adopt(firstAttempt + 1) }
	b.flush(t.Context(), false, flushTimeout)
	if ctx.Err() != nil || l.written != 0 || len(b.dirty) != 1 {
		t.Errorf("the run was canceled (%v), or its write is not repeated", ctx.Err())
	}
}

func TestBatcher_WithoutWrites_ExcludesWrites(t *testing.T) {
	t.Parallel()
	m, runs := &memory{}, newLiveRuns()
	b := newTestBatcher(m, runs)
	var claiming atomic.Bool
	m.onAppend = func() {
		if claiming.Load() {
			t.Error("a batch is written during a claim")
		}
	}
	l, _ := executing(t, runs, b.clock, 1)
	m.owned = map[string]bool{l.run.ID: false}
	var writes sync.WaitGroup
	writes.Go(func() {
		for range 200 {
			b.flush(t.Context(), true, flushTimeout)
		}
	})
	for range 200 {
		b.withoutWrites(func() {
			claiming.Store(true)
			claiming.Store(false)
		})
	}
	writes.Wait()
}

func TestBatcher_ContextEnds_WritesALastTime(t *testing.T) {
	t.Parallel()
	m, runs := &memory{}, newLiveRuns()
	b := newTestBatcher(m, runs)
	l, _ := executing(t, runs, b.clock, 1)
	m.owned = map[string]bool{l.run.ID: false}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.run(ctx)
	if l.written != 1 {
		t.Error("the event is not stored")
	}
}

func TestBatch_NotificationOfManyRuns_NamesAll(t *testing.T) {
	t.Parallel()
	b := newBatch("owner", 0)
	for range 300 {
		l := newLiveRun(postgres.Scope{}, Run{ID: id.New()}, firstAttempt, func(error) {})
		l.append(&chatv1.RunEvent{}, newFakeClock().Now())
		if err := b.add(l, false, 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.notification(); got != allRuns {
		t.Errorf("the notification has %d bytes, want %q", len(got), allRuns)
	}
	b.changed = slices.Clone(b.changed[:2])
	if got := b.notification(); got != b.changed[0]+","+b.changed[1] {
		t.Errorf("the notification is %q, want both ids", got)
	}
}
