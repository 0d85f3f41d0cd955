package run

import (
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/fault"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// maxPayload keeps a notification below Postgres's limit of 8000 bytes.
const maxPayload = 7900

// batch is one write to the database: a row for each run and a row for each event, as
// columns. One goroutine builds it and writes it.
type batch struct {
	owner string        // the owner that the runs must have in the database
	lease time.Duration // how long the owner keeps the runs without another write

	lives  []*liveRun
	counts []int // how many events of each run are stored after the write

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
	changed       []string // the runs with new events
}

func newBatch(owner string, lease time.Duration) *batch { return &batch{owner: owner, lease: lease} }

// add adds the new events of a run to the batch, and reserves a block of numbers after
// them. It adds nothing when there are no new events, unless the lease is to be renewed.
func (b *batch) add(l *liveRun, renew bool, block int32) error {
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

// addState adds the state of a run, whose lock the caller holds.
func (b *batch) addState(l *liveRun) error {
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

// notification returns the payload that announces the runs with new events.
func (b *batch) notification() string {
	if payload := strings.Join(b.changed, ","); len(payload) <= maxPayload {
		return payload
	}
	return allRuns
}

// encodeMessage is deterministic, so that every reader of a log reads the same bytes.
func encodeMessage(message proto.Message) ([]byte, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "an event cannot be encoded")
	}
	if raw == nil {
		raw = []byte{} // the column is NOT NULL
	}
	return raw, nil
}
