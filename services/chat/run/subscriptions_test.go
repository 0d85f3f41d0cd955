package run

import "testing"

// woken reports whether a reader was woken since the last call.
func woken(reader <-chan struct{}) bool {
	select {
	case <-reader:
		return true
	default:
		return false
	}
}

func TestSubscriptions_Notify_WakesTheNamedRuns(t *testing.T) {
	t.Parallel()
	s := newSubscriptions()
	one, leaveOne := s.subscribe("a")
	two, leaveTwo := s.subscribe("a")
	other, leaveOther := s.subscribe("b")
	s.notify("a,c")
	s.notify("a") // nobody has read the first notification, and nobody waits
	if !woken(one) || !woken(two) || woken(other) || woken(one) {
		t.Error("not exactly the readers of the named run were woken once")
	}
	s.notify(allRuns)
	if !woken(one) || !woken(two) || !woken(other) {
		t.Error("a reader was not woken by a notification for all")
	}
	leaveOne()
	s.notify("a")
	if woken(one) || !woken(two) {
		t.Error("a reader that has left was woken, or the other one was not")
	}
	leaveTwo()
	leaveOther()
	if len(s.readers) != 0 {
		t.Errorf("%d runs have readers after all have left", len(s.readers))
	}
}
