package run

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func newTestWatcher(m *memory, runs *liveRuns) (*watcher, *clock.Fake) {
	clk := newFakeClock()
	return newWatcher(testConfig().Poll, m, runs, newSubscriptions(), clk), clk
}

// seen is a reader that records what it receives.
type seen struct {
	seqs     []int32
	finished bool
	each     func()
}

func (s *seen) reader() Reader {
	return Reader{
		Accept: func(finished bool) error {
			s.finished = finished
			return nil
		},
		Send: func(event *chatv1.RunEvent) error {
			s.seqs = append(s.seqs, event.GetSeq())
			if s.each != nil {
				s.each()
			}
			return nil
		},
	}
}

func TestWatcher_StoredRun_IsReadFromThePosition(t *testing.T) {
	t.Parallel()
	m := &memory{run: Run{Finished: true, LastSeq: 3}, stored: []*chatv1.RunEvent{{Seq: 1}, {Seq: 2}, {Seq: 3}}}
	w, _ := newTestWatcher(m, newLiveRuns())
	for _, tc := range []struct {
		after    int32
		want     []int32
		finished bool
	}{{0, []int32{1, 2, 3}, false}, {2, []int32{3}, false}, {3, nil, true}, {9, nil, true}} {
		var s seen
		if err := w.watch(t.Context(), postgres.Scope{}, "r", tc.after, s.reader()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.seqs, tc.want) || s.finished != tc.finished {
			t.Errorf("after %d the reader received %v, finished %t, want %v, %t", tc.after, s.seqs, s.finished, tc.want, tc.finished)
		}
	}
}

func TestWatcher_RunOfAnotherProcess_IsReadAfterEachNotification(t *testing.T) {
	t.Parallel()
	m := &memory{run: Run{LastSeq: 1}, stored: []*chatv1.RunEvent{{Seq: 1}}}
	w, _ := newTestWatcher(m, newLiveRuns())
	s := seen{each: func() { // another process stores the end after the first event was sent
		m.mu.Lock()
		defer m.mu.Unlock()
		m.stored, m.run = []*chatv1.RunEvent{{Seq: 1}, {Seq: 2}}, Run{Finished: true, LastSeq: 2}
		w.subscriptions.notify("r")
	}}
	if err := w.watch(t.Context(), postgres.Scope{}, "r", 0, s.reader()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.seqs, []int32{1, 2}) {
		t.Errorf("the reader received %v, want 1 and 2", s.seqs)
	}
}

// A notification can be lost with its connection.
func TestWatcher_NoNotification_PollsTheDatabase(t *testing.T) {
	t.Parallel()
	m := &memory{run: Run{LastSeq: 1}, stored: []*chatv1.RunEvent{{Seq: 1}}}
	w, clk := newTestWatcher(m, newLiveRuns())
	watched := make(chan error, 1)
	var s seen
	go func() { watched <- w.watch(t.Context(), postgres.Scope{}, "r", 1, s.reader()) }()
	if err := clk.WaitForTimers(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	m.stored, m.run = []*chatv1.RunEvent{{Seq: 1}, {Seq: 2}}, Run{Finished: true, LastSeq: 2}
	m.mu.Unlock()
	clk.Advance(w.poll)
	if err := <-watched; err != nil || !slices.Equal(s.seqs, []int32{2}) {
		t.Errorf("the reader received %v (%v), want 2", s.seqs, err)
	}
}

func TestWatcher_PositionPastTheLog_IsRefusedForNow(t *testing.T) {
	t.Parallel()
	runs := newLiveRuns()
	m := &memory{run: Run{LastSeq: 1}}
	w, clk := newTestWatcher(m, runs)
	l, _ := executing(t, runs, clk, 2)
	var s seen
	err := w.watch(t.Context(), l.scope, l.run.ID, 3, s.reader())
	if f := fault.From(err); f.Reason() != faultv1.Reason_REASON_UNAVAILABLE || f.RetryAfter() != aheadRetry {
		t.Errorf("of a run in this process it returned %v", err)
	}
	watched := make(chan error, 1)
	go func() { watched <- w.watch(t.Context(), postgres.Scope{}, "another", 3, s.reader()) }()
	if err := clk.WaitForTimers(t.Context(), 1); err != nil { // it waits for the next write once
		t.Fatal(err)
	}
	clk.Advance(w.poll)
	if f := fault.From(<-watched); f.Reason() != faultv1.Reason_REASON_UNAVAILABLE || f.RetryAfter() != aheadRetry {
		t.Errorf("of a run in another process it returned %v", f)
	}
}

func TestWatcher_RunIsLost_ContinuesFromTheDatabase(t *testing.T) {
	t.Parallel()
	runs := newLiveRuns()
	m := &memory{run: Run{Finished: true, LastSeq: 3}, stored: []*chatv1.RunEvent{{Seq: 1}, {Seq: 2}, {Seq: 3}}}
	w, clk := newTestWatcher(m, runs)
	l, _ := executing(t, runs, clk, 2)
	s := seen{}
	s.each = func() {
		if len(s.seqs) == 2 {
			l.lose()
		}
	}
	if err := w.watch(t.Context(), l.scope, l.run.ID, 0, s.reader()); err != nil || !slices.Equal(s.seqs, []int32{1, 2, 3}) {
		t.Errorf("the reader received %v (%v), want 1, 2 and 3", s.seqs, err)
	}
}

func TestWatcher_ReaderLeaves_ReturnsTheCause(t *testing.T) {
	t.Parallel()
	left := errors.New("the reader left")
	m := &memory{run: Run{LastSeq: 1}, stored: []*chatv1.RunEvent{{Seq: 1}}}
	w, _ := newTestWatcher(m, newLiveRuns())
	ctx, cancel := context.WithCancelCause(t.Context())
	s := seen{each: func() { cancel(left) }}
	if err := w.watch(ctx, postgres.Scope{}, "r", 0, s.reader()); !errors.Is(err, left) {
		t.Errorf("watch returned %v, want %v", err, left)
	}
	if len(w.subscriptions.readers) != 0 {
		t.Error("the reader is still subscribed")
	}
}
