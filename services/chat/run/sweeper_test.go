package run

import (
	"errors"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

func newTestSweeper(t *testing.T, m *memory, runs *liveRuns) (*sweeper, *idle, func(time.Duration)) {
	t.Helper()
	clk, writes := newFakeClock(), &idle{}
	rec := newRecovery("", m, clk)
	return newSweeper(testConfig(), m, rec, runs, writes, testUsage(t), clk, discard()), writes, clk.Advance
}

// Owners that live renew their leases first when the database is available again.
func TestSweeper_DatabaseFails_ClaimsNothingForALease(t *testing.T) {
	t.Parallel()
	m := &memory{err: errUnavailable}
	s, _, advance := newTestSweeper(t, m, newLiveRuns())
	if err := s.sweep(t.Context()); !errors.Is(err, errUnavailable) || m.claims != 1 {
		t.Fatalf("the sweep returned %v after %d claims", err, m.claims)
	}
	advance(30 * time.Second)
	if err := s.sweep(t.Context()); !errors.Is(err, errUnavailable) || m.claims != 1 || m.pings != 1 {
		t.Errorf("the sweep returned %v after %d claims and %d pings, want one of each", err, m.claims, m.pings)
	}
	m.err = nil
	advance(59 * time.Second)
	if err := s.sweep(t.Context()); err != nil || m.claims != 1 || m.pings != 2 {
		t.Errorf("a sweep within the lease returned %v after %d claims and %d pings", err, m.claims, m.pings)
	}
	advance(time.Second)
	if err := s.sweep(t.Context()); err != nil || m.claims != 2 {
		t.Errorf("the sweep after a lease returned %v after %d claims, want two", err, m.claims)
	}
}

func TestSweeper_ClaimedRunIsExecutedHere_Continues(t *testing.T) {
	t.Parallel()
	m, runs := &memory{}, newLiveRuns()
	s, _, _ := newTestSweeper(t, m, runs)
	l, ctx := executing(t, runs, s.clock, 2)
	m.lost = []claimed{{scope: l.scope, run: l.run, attempt: firstAttempt + 1}}
	if err := s.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l.attempt != firstAttempt+1 || l.ending != nil || ctx.Err() != nil {
		t.Errorf("the run has the attempt %d and the end %v (%v), want it to continue", l.attempt, l.ending, ctx.Err())
	}
}

func TestSweeper_LostRun_EndsPastItsReservation(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		stored []*chatv1.RunEvent
		events int // new ones: the end, and run.started where it was not stored
		text   string
	}{
		{"nothing is stored", nil, 2, ""},
		{"some events are stored", []*chatv1.RunEvent{{Seq: 1}, {Seq: 2, Event: &chatv1.RunEvent_MessageDelta{
			MessageDelta: &chatv1.MessageDelta{Text: "Hello"},
		}}}, 1, "Hello"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, runs := &memory{stored: tc.stored}, newLiveRuns()
			s, writes, _ := newTestSweeper(t, m, runs)
			scope := postgres.Scope{OrganizationID: id.New(), UserID: id.New()}
			m.lost = []claimed{{scope: scope, run: Run{ID: id.New()}, attempt: 2, reserved: 40}}
			if err := s.sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			added := runs.list()
			if len(added) != 1 || writes.wakes != 1 {
				t.Fatalf("%d runs are added and %d writes requested, want one of each", len(added), writes.wakes)
			}
			l := added[0]
			end := l.events[len(l.events)-1]
			if len(l.events) != tc.events || end.GetSeq() != 41 || end.GetRunInterrupted().GetMessage().GetContent() != tc.text {
				t.Errorf("the new events are %v, want %d and an end with the number 41 and the text %q", l.events, tc.events, tc.text)
			}
			if runs.findFor(scope, l.run.ID) != nil {
				t.Error("readers would read the lost run from memory")
			}
		})
	}
}
