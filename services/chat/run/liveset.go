package run

import (
	"sync"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

// liveRuns is the set of runs whose logs this process writes. It contains the runs that
// the process executes, and the lost runs that its sweeper ends.
//
// Any goroutine may use it: mu guards both maps. The methods call nothing that waits
// while they hold mu. In particular they do not lock a [liveRun].
type liveRuns struct {
	mu       sync.Mutex
	all      map[*liveRun]struct{}
	executed map[string]*liveRun // those of all that run here, by run id
}

func newLiveRuns() *liveRuns {
	return &liveRuns{all: map[*liveRun]struct{}{}, executed: map[string]*liveRun{}}
}

// addExecuted adds a run that this process executes. Readers find it.
func (s *liveRuns) addExecuted(l *liveRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[l] = struct{}{}
	s.executed[l.run.ID] = l
}

// addLost adds a lost run that this process only ends. Readers read it from the database.
func (s *liveRuns) addLost(l *liveRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[l] = struct{}{}
}

// remove removes a run whose log is complete in the database, or belongs to another
// process.
func (s *liveRuns) remove(l *liveRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, l)
	if s.executed[l.run.ID] == l {
		delete(s.executed, l.run.ID)
	}
}

// list returns all runs, in no order.
func (s *liveRuns) list() []*liveRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*liveRun, 0, len(s.all))
	for l := range s.all {
		out = append(out, l)
	}
	return out
}

// find returns a run that is executed here, or nil.
func (s *liveRuns) find(runID string) *liveRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.executed[runID]
}

// findFor is find for a caller: the runs of other users and organizations are absent.
func (s *liveRuns) findFor(scope postgres.Scope, runID string) *liveRun {
	if l := s.find(runID); l != nil && l.scope == scope {
		return l
	}
	return nil
}

// cancel cancels the context of a run if it is executed here.
func (s *liveRuns) cancel(runID string, cause error) {
	if l := s.find(runID); l != nil {
		l.cancel(cause)
	}
}

// cancelAll cancels the contexts of all runs that are executed here.
func (s *liveRuns) cancelAll(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.executed {
		l.cancel(cause)
	}
}
