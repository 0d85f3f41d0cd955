package run

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// recoverJournals stores what the readers of dead processes had seen and the
// database had not. It writes in the name of the dead owner, so that a run that
// somebody has claimed meanwhile stays as it is, and leaves the runs with a
// lease that is over: the sweep that follows ends them.
func (m *Manager) recoverJournals(ctx context.Context) error {
	if m.cfg.Journal == "" {
		return nil
	}
	journals, err := abandoned(m.cfg.Journal)
	failures := []error{err}
	for owner, j := range journals {
		if err := m.recoverOne(ctx, owner, j); err != nil {
			failures = append(failures, err, j.close()) // somebody tries again
			continue
		}
		failures = append(failures, j.remove())
	}
	return errors.Join(failures...)
}

func (m *Manager) recoverOne(ctx context.Context, owner string, j *journal) error {
	records, err := j.records()
	if err != nil {
		return err
	}
	b := &batch{owner: owner}
	for _, l := range replayed(records) {
		follows, err := m.follows(ctx, l)
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
	return m.send(ctx, b)
}

// follows reports whether the events of a run in the journal continue the stored ones.
// They do not when the journal could not be written for a time.
func (m *Manager) follows(ctx context.Context, l *live) (bool, error) {
	r, err := m.get(ctx, l.scope, l.run.ID)
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return false, nil // deleted in the meantime
	}
	return err == nil && l.base <= r.LastSeq, err
}

// replayed makes logs of the records of a journal. A record that cannot be read
// is left out with all that follow it in its run: a log has no gaps.
func replayed(records []record) []*live {
	events := map[string][]*chatv1.RunEvent{}
	lives := map[string]*live{}
	for _, r := range records {
		event := &chatv1.RunEvent{}
		if !id.Valid(r.runID) || !id.Valid(r.scope.OrganizationID) || !id.Valid(r.scope.UserID) || proto.Unmarshal(r.payload, event) != nil {
			continue
		}
		events[r.runID] = append(events[r.runID], event)
		lives[r.runID] = newLive(r.scope, Run{ID: r.runID}, firstAttempt, func(error) {})
	}
	out := make([]*live, 0, len(lives))
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
