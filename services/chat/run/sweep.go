package run

import (
	"context"
	"errors"
	"slices"

	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// sweep ends runs whose process has died, until ctx ends.
func (m *Manager) sweep(ctx context.Context) {
	for {
		if err := m.sweepOnce(ctx); err != nil && ctx.Err() == nil {
			m.log.WarnContext(ctx, "runs without a process could not be ended", "error", err)
		}
		select {
		case <-m.clock.After(m.cfg.Lease / 3):
		case <-ctx.Done():
			return
		}
	}
}

func (m *Manager) sweepOnce(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	failures := []error{m.recoverJournals(bounded)}
	orphans, err := m.orphans(bounded)
	if err != nil {
		return errors.Join(append(failures, err)...)
	}
	for _, orphan := range orphans {
		// When this fails the lease runs out again, and somebody tries again.
		failures = append(failures, m.interrupt(bounded, orphan))
	}
	return errors.Join(failures...)
}

// orphans claims the runs whose leases are over. While the database was away
// leases ran out whose owners live: they are first given the time of one to renew
// them.
func (m *Manager) orphans(ctx context.Context) ([]claimed, error) {
	var (
		orphans []claimed
		err     error
	)
	if m.clock.Now().Before(m.patient) {
		err = m.db.Ping(ctx)
	} else {
		orphans, err = m.claimOthers(ctx)
	}
	if err != nil {
		m.patient = m.clock.Now().Add(m.cfg.Lease)
	}
	return orphans, err
}

// claimOthers claims the runs whose leases are over, and keeps those that are executed
// here. No batch is written in between: the writer would find its run claimed, give it up,
// and lose what readers have seen of it.
func (m *Manager) claimOthers(ctx context.Context) ([]claimed, error) {
	m.owning.Lock()
	defer m.owning.Unlock()
	orphans, err := m.claim(ctx)
	return slices.DeleteFunc(orphans, m.keep), err
}

// keep tells whether a claimed run is one that is executed here: its writer was
// late, and has it still.
func (m *Manager) keep(c claimed) bool {
	m.mu.Lock()
	l := m.local[c.run.ID]
	m.mu.Unlock()
	return l != nil && l.keep(c.attempt)
}

// interrupt ends a claimed run with the text that was stored of it. Readers may have
// seen more than that, up to the reservation. The end is numbered past the reservation,
// so that these readers get it too, and no number is used for two events.
func (m *Manager) interrupt(ctx context.Context, c claimed) error {
	l := newLive(c.scope, c.run, c.attempt, func(error) {})
	for {
		events, err := m.events(ctx, c.scope, c.run.ID, l.base)
		if err != nil {
			return err
		}
		for _, event := range events {
			l.answer.add(event)
			l.base = event.GetSeq()
		}
		if len(events) < replayPage {
			break
		}
	}
	if l.base == 0 { // its process died before it stored anything
		r, err := m.get(ctx, c.scope, c.run.ID)
		if err != nil {
			return err
		}
		c.run.MissingCollectionIDs, c.run.MissingAssistantID = r.MissingCollectionIDs, r.MissingAssistantID
		l.append(started(c.run), c.run.CreateTime)
	}
	e := ending{state: chatv1.Run_INTERRUPTED, message: l.answer.message(c.run.MessageID, l.answer.estimate())}
	m.settle(ctx, e)
	l.end(e, c.reserved, m.clock.Now())
	m.add(l, false)
	m.touch()
	return nil
}
