package run

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// journalStore stores recovered events. The [store] implements it.
type journalStore interface {
	appender
	get(ctx context.Context, scope postgres.Scope, runID string) (Run, error)
}

// recovery stores the events that the readers of killed processes have seen and the
// database has not. It reads them from the journals that those processes left behind.
//
// It keeps nothing between calls. Only the goroutine of the sweeper uses it. The lock of
// each journal keeps other processes of the machine away from that journal.
type recovery struct {
	dir   string // empty when no journals are written
	store journalStore
	clock clock.Clock
}

func newRecovery(dir string, store journalStore, clk clock.Clock) *recovery {
	return &recovery{dir: dir, store: store, clock: clk}
}

// recover stores the events of all abandoned journals and removes the journals. It writes
// in the name of the killed owner, so that runs which another process has claimed stay
// as they are. The runs are left with an expired lease, and the next claim ends them.
func (r *recovery) recover(ctx context.Context) error {
	if r.dir == "" {
		return nil
	}
	journals, err := abandoned(r.dir)
	failures := []error{err}
	for owner, j := range journals {
		if err := r.recoverOne(ctx, owner, j); err != nil {
			failures = append(failures, err, j.close()) // a later sweep retries
			continue
		}
		failures = append(failures, j.remove())
	}
	return errors.Join(failures...)
}

func (r *recovery) recoverOne(ctx context.Context, owner string, j *journal) error {
	records, err := j.records()
	if err != nil {
		return err
	}
	b := newBatch(owner, 0)
	for _, l := range replayed(records) {
		follows, err := r.follows(ctx, l)
		if err == nil && follows {
			err = b.add(l, false, 0)
		}
		if err != nil {
			return err
		}
	}
	if len(b.lives) == 0 {
		return nil
	}
	_, err = r.store.append(ctx, b, r.clock.Now())
	return err
}

// follows reports whether the events of a run in a journal continue the stored ones. They
// do not after a time in which the journal could not be written, or when the run was
// deleted.
func (r *recovery) follows(ctx context.Context, l *liveRun) (bool, error) {
	stored, err := r.store.get(ctx, l.scope, l.run.ID)
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return false, nil
	}
	return err == nil && l.base <= stored.LastSeq, err
}

// replayed returns the logs of the runs in the records of a journal. A log has no gaps:
// after a record that cannot be read, the later events of the run are left out.
func replayed(records []record) []*liveRun {
	events := map[string][]*chatv1.RunEvent{}
	lives := map[string]*liveRun{}
	for _, r := range records {
		event := &chatv1.RunEvent{}
		if !id.Valid(r.runID) || !id.Valid(r.scope.OrganizationID) || !id.Valid(r.scope.UserID) || proto.Unmarshal(r.payload, event) != nil {
			continue
		}
		events[r.runID] = append(events[r.runID], event)
		lives[r.runID] = newLiveRun(r.scope, Run{ID: r.runID}, firstAttempt, func(error) {})
	}
	out := make([]*liveRun, 0, len(lives))
	for runID, l := range lives {
		log := events[runID]
		slices.SortFunc(log, func(a, b *chatv1.RunEvent) int { return int(a.GetSeq() - b.GetSeq()) })
		l.base = log[0].GetSeq() - 1
		for _, event := range log {
			if event.GetSeq() != l.base+int32(len(l.events))+1 { //nolint:gosec // bounded by the run's budget
				break
			}
			l.events = append(l.events, event)
		}
		out = append(out, l)
	}
	return out
}
