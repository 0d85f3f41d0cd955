package run

import (
	"strings"
	"sync"
)

const (
	// eventsChannel announces the ids of runs with new stored events, separated by
	// commas, or allRuns.
	eventsChannel = "chat_run_events"
	// allRuns stands for all runs in an announcement: the ids would be too many, or
	// announcements were missed.
	allRuns = "*"
)

// subscriptions wakes the readers of runs when events were stored.
//
// Any goroutine may use it: mu guards the map. A notification never waits for a reader,
// because each reader has a channel with a buffer of one. A full buffer means that the
// reader reads again anyway.
type subscriptions struct {
	mu      sync.Mutex
	readers map[string]map[chan struct{}]struct{} // by run id
}

func newSubscriptions() *subscriptions {
	return &subscriptions{readers: map[string]map[chan struct{}]struct{}{}}
}

// subscribe returns a channel that receives a value after new events of a run were
// stored. The caller calls unsubscribe at the end.
func (s *subscriptions) subscribe(runID string) (stored <-chan struct{}, unsubscribe func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reader := make(chan struct{}, 1)
	if s.readers[runID] == nil {
		s.readers[runID] = map[chan struct{}]struct{}{}
	}
	s.readers[runID][reader] = struct{}{}
	return reader, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.readers[runID], reader)
		if len(s.readers[runID]) == 0 {
			delete(s.readers, runID)
		}
	}
}

// notify wakes the readers of the runs that an announcement names.
func (s *subscriptions) notify(announcement string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if announcement == allRuns {
		for _, readers := range s.readers {
			signalAll(readers)
		}
		return
	}
	for runID := range strings.SplitSeq(announcement, ",") {
		signalAll(s.readers[runID])
	}
}

func signalAll(readers map[chan struct{}]struct{}) {
	for reader := range readers {
		signal(reader)
	}
}
