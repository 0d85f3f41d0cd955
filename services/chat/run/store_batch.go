package run

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// maxPayload keeps a notification below Postgres's 8000 bytes.
const maxPayload = 7900

// batch is one write: a row for each run and a row for each event, as columns.
type batch struct {
	owner  string // of runs of a dead process; empty means this one
	lives  []*live
	counts []int

	organizations, runs []string
	attempts, seqs      []int32
	reserved            []int32
	states              []int16
	ended               []bool
	contents            []string
	details, problems   [][]byte
	inputs, outputs     []int64
	estimated           []bool

	eventRuns     []string
	eventSeqs     []int32
	eventPayloads [][]byte
	changed       []string
}

// write stores the log of the process's runs until ctx ends, and then once
// more.
func (m *Manager) write(ctx context.Context) {
	renewed := m.clock.Now()
	for ctx.Err() == nil {
		select {
		case <-m.dirty:
			m.gather(ctx)
		case <-m.clock.After(m.cfg.Lease / 3):
		case <-ctx.Done():
		}
		renew := m.clock.Now().Sub(renewed) >= m.cfg.Lease/3
		if m.flush(ctx, renew, flushTimeout) && renew {
			renewed = m.clock.Now()
		}
	}
	m.flush(ctx, false, finalTimeout)
}

// gather waits until more events have come, or a log is near the end of its
// reservation. After a failure it always waits its whole time, so that a database that
// is unavailable is not called for each event.
func (m *Manager) gather(ctx context.Context) {
	hurry := m.urgent
	if !m.stored {
		hurry = nil
	}
	timer := m.clock.NewTimer(m.cfg.Flush)
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-hurry:
	case <-ctx.Done(): // which the caller sees
	}
}

// flush writes what is new, and renews all leases when renew is set. What could
// not be written is written the next time.
func (m *Manager) flush(ctx context.Context, renew bool, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	if m.stored {
		if err := m.journal.turn(); err != nil {
			m.log.ErrorContext(ctx, "the journal of runs could not be written", "error", err)
		}
	}
	b, err := m.collect(renew)
	if err == nil && len(b.lives) > 0 {
		err = m.send(ctx, b)
	}
	if err != nil {
		m.log.ErrorContext(ctx, "the events of runs could not be stored", "runs", len(b.lives), "error", err)
		m.touch()
	}
	m.stored = err == nil
	return m.stored
}

func (m *Manager) collect(renew bool) (*batch, error) {
	m.mu.Lock()
	lives := make([]*live, 0, len(m.writing))
	for l := range m.writing {
		lives = append(lives, l)
	}
	m.mu.Unlock()
	b := &batch{}
	for _, l := range lives {
		if err := b.add(l, renew, m.cfg.Block); err != nil {
			return b, err
		}
	}
	return b, nil
}

// add adds the new events of a run to the batch, and reserves a block of numbers past
// them.
func (b *batch) add(l *live, renew bool, block int32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := l.events[l.written:]
	if len(fresh) == 0 && !renew {
		return nil
	}
	for _, event := range fresh {
		payload, err := encodeMessage(event)
		if err != nil {
			return err
		}
		b.eventRuns, b.eventSeqs = append(b.eventRuns, l.run.ID), append(b.eventSeqs, event.GetSeq())
		b.eventPayloads = append(b.eventPayloads, payload)
	}
	if len(fresh) > 0 {
		b.changed = append(b.changed, l.run.ID)
	}
	b.lives, b.counts = append(b.lives, l), append(b.counts, len(l.events))
	b.organizations, b.runs = append(b.organizations, l.scope.OrganizationID), append(b.runs, l.run.ID)
	b.attempts, b.seqs, b.reserved = append(b.attempts, l.attempt), append(b.seqs, l.last()), append(b.reserved, l.last()+block)
	return b.addState(l)
}

func (b *batch) addState(l *live) error {
	e := ending{state: chatv1.Run_RUNNING, message: &chatv1.AnsweredMessage{}}
	if l.ending != nil {
		e = *l.ending
	}
	details, err := encodeMessage(&chatv1.AnsweredMessage{
		Citations: e.message.GetCitations(), Flags: e.message.GetFlags(), Model: e.message.GetModel(), Usage: e.message.GetUsage(),
	})
	if err != nil {
		return err
	}
	var why []byte
	if e.problem != nil {
		if why, err = encodeMessage(e.problem); err != nil {
			return err
		}
	}
	usage := e.message.GetUsage()
	b.states, b.ended = append(b.states, int16(e.state)), append(b.ended, l.ending != nil) //nolint:gosec // a small enum
	b.contents, b.details, b.problems = append(b.contents, e.message.GetContent()), append(b.details, details), append(b.problems, why)
	b.inputs, b.outputs = append(b.inputs, int64(usage.GetInputTokens())), append(b.outputs, int64(usage.GetOutputTokens()))
	b.estimated = append(b.estimated, usage.GetEstimated())
	return nil
}

// send writes a batch and tells each run what became of its part. Runs of a
// dead owner are left with a lease that is over.
func (m *Manager) send(ctx context.Context, b *batch) error {
	owner, lease := m.owner, m.cfg.Lease
	if b.owner != "" {
		owner, lease = b.owner, 0
	}
	now := m.clock.Now()
	changed := strings.Join(b.changed, ",")
	if len(changed) > maxPayload {
		changed = "*"
	}
	type written struct {
		ID     string
		Cancel bool
	}
	m.owning.Lock()
	defer m.owning.Unlock()
	rows, err := postgres.QueryAll(ctx, m.db, postgres.Scope{}, pgx.RowToStructByPos[written],
		`SELECT run_id, cancel_requested FROM append_run_events($1, $2::interval, $3, $4::text[]::uuid[], $5::text[]::uuid[], $6::int[], $7::int[], $8::int[],
			$9::smallint[], $10::boolean[], $11::text[], $12::bytea[], $13::bytea[], $14::bigint[], $15::bigint[], $16::boolean[],
			$17::text[]::uuid[], $18::int[], $19::bytea[], $20, $21)`,
		owner, lease, now, b.organizations, b.runs, b.attempts, b.seqs, b.reserved, b.states, b.ended, b.contents, b.details,
		b.problems, b.inputs, b.outputs, b.estimated, b.eventRuns, b.eventSeqs, b.eventPayloads, eventsChannel, changed)
	if err != nil {
		return err
	}
	cancels := make(map[string]bool, len(rows))
	for _, row := range rows {
		cancels[row.ID] = row.Cancel
	}
	for i, l := range b.lives {
		if !l.is(b.attempts[i]) {
			m.touch() // claimed anew meanwhile, by ourselves
			continue
		}
		m.report(l, b.counts[i], b.reserved[i], now, cancels)
	}
	return nil
}

func (m *Manager) report(l *live, count int, reserved int32, began time.Time, cancels map[string]bool) {
	asked, kept := cancels[l.run.ID]
	if !kept {
		m.remove(l)
		l.lose()
		return
	}
	if l.stored(count, reserved, began) {
		m.remove(l)
		return
	}
	if asked {
		l.cancel(errCancelled)
	}
}

// encodeMessage is deterministic, so that a log reads the same each time.
func encodeMessage(message proto.Message) ([]byte, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "an event cannot be encoded")
	}
	if raw == nil {
		raw = []byte{} // the column knows no NULL
	}
	return raw, nil
}
