// Package run is the room of runs: the making of answers, each as a log of
// events that any number of readers follow, from any position, on any replica.
//
//	run.go      the run, its answer and its events (pure)
//	live.go     the log of a run that is executed here
//	prepare.go  how a message is answered, and what the caller may use for it
//	start.go    the transaction that begins a run
//	manager.go  what a process does for its runs, and how it stops
//	execute.go  one run, from the first event to the last
//	store_batch.go the one write for all runs of the process
//	journal.go  what readers have seen and the database has not
//	recover.go  the journals of processes that have died
//	sweep.go    runs whose process has died
//	watch.go    readers
//	store.go    queries
//	store_admit.go how many runs there may be at once
//	gate.go     starts that wait for each other
//	service.go  the RPCs
//
// # Start
//
// A run is stored in the transaction that stores the user's message. Then it
// is executed, detached from the request: its readers may leave, it goes on.
// Conversations have one live run at a time; a partial unique index says so.
//
// # The log
//
// The executing process is the only writer of a run's log, so it numbers the events
// itself, from 1. It reserves the numbers in the database, a block ahead of what is
// stored, and shows readers no event past the reservation. The process that ends the
// run of a lost process numbers the end past it (decision 0021). So no number is used
// for two events, and a gap is possible only directly before run.interrupted. Readers
// in the same process are fed from its memory, without waiting for the database. Each
// 50 ms one statement stores the new events of all runs of the process, with one
// notification for all; a transaction for each run was measured to collapse at 200
// runs. The terminal event is the exception: readers see it when it is stored, together
// with the message and the run's state, so that whoever reads on finds them.
//
// A process that is killed takes its memory along, up to a batch of events that
// its readers have seen. So each event is written to a file first, which the
// kernel keeps (journal.go); whoever starts next on the machine stores it.
//
// Readers pull from the log by position. So a slow one holds up nobody, and
// there is no queue that could overflow.
//
// # Ownership
//
// A run names its owner and an attempt, and has a lease that is renewed with
// the writes. Writes that do not hold both are dropped by the database, and
// the writer stops. When the lease runs out any process may claim the run,
// which raises the attempt, and end it as INTERRUPTED with the text that was
// stored. It is not executed again: tools may have had effects.
package run

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/fault"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine"
)

// Run is the making of one answer, as it is stored.
type Run struct {
	ID              string
	ConversationID  string
	UserMessageID   string
	MessageID       string
	State           chatv1.Run_State
	LastSeq         int32
	CancelRequested bool
	RequestHash     []byte
	Problem         *faultv1.Problem
	Usage           *chatv1.Usage
	CreateTime      time.Time
	UpdateTime      time.Time
	Finished        bool
	// MissingCollectionIDs and MissingAssistantID are the deleted resources that the
	// run skipped.
	MissingCollectionIDs []string
	MissingAssistantID   string
}

func encode(r Run) *chatv1.Run {
	return &chatv1.Run{
		Id: r.ID, ConversationId: r.ConversationID, MessageId: r.MessageID, State: r.State, LastSeq: r.LastSeq,
		Error: r.Problem, Usage: r.Usage, CreateTime: timestamppb.New(r.CreateTime), UpdateTime: timestamppb.New(r.UpdateTime),
		MissingCollectionIds: r.MissingCollectionIDs, MissingAssistantId: r.MissingAssistantID,
	}
}

// hash tells requests apart that use the same idempotency key.
func hash(req *chatv1.SendMessageRequest) ([]byte, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the request cannot be encoded")
	}
	sum := sha256.Sum256(raw)
	return sum[:], nil
}

// answer gathers what a log says of the message.
type answer struct {
	text      strings.Builder
	citations []*chatv1.Citation
}

func (a *answer) add(event *chatv1.RunEvent) {
	switch e := event.GetEvent().(type) {
	case *chatv1.RunEvent_MessageDelta:
		a.text.WriteString(e.MessageDelta.GetText())
	case *chatv1.RunEvent_Citation:
		a.citations = append(a.citations, e.Citation)
	}
}

// message returns the answer so far, with what the engine says of it.
func (a *answer) message(id string, out engine.Outcome) *chatv1.AnsweredMessage {
	m := &chatv1.AnsweredMessage{
		Id: id, Content: a.text.String(), Citations: a.citations, Model: out.Model,
		Usage: &chatv1.Usage{
			InputTokens:  int32(min(out.Usage.InputTokens, 1<<31-1)),  //nolint:gosec // bounded
			OutputTokens: int32(min(out.Usage.OutputTokens, 1<<31-1)), //nolint:gosec // bounded
			Estimated:    out.Usage.Estimated,
		},
	}
	for _, flag := range out.Flags {
		m.Flags = append(m.Flags, chatv1.AnswerFlag_Value(chatv1.AnswerFlag_Value_value[string(flag)]))
	}
	return m
}

// estimate is the usage of a run whose process took its count along: what was
// written, at four characters a token.
func (a *answer) estimate() engine.Outcome {
	var out engine.Outcome
	out.Usage.OutputTokens = int64(utf8.RuneCountInString(a.text.String())+3) / 4
	out.Usage.Estimated = true
	return out
}

// convert returns an event of the engine in the form of the contract, without
// its place in the log.
func convert(event engine.Event) (*chatv1.RunEvent, error) {
	switch e := event.(type) {
	case engine.AgentSelected:
		return &chatv1.RunEvent{Event: &chatv1.RunEvent_AgentSelected{AgentSelected: &chatv1.AgentSelected{Agent: e.Agent, Reason: e.Reason}}}, nil
	case engine.ToolStarted:
		return toolStarted(e)
	case engine.ToolFinished:
		return toolFinished(e)
	case engine.MessageDelta:
		return &chatv1.RunEvent{Event: &chatv1.RunEvent_MessageDelta{MessageDelta: &chatv1.MessageDelta{Text: storable(e.Text)}}}, nil
	case engine.Citation:
		return &chatv1.RunEvent{Event: &chatv1.RunEvent_Citation{Citation: &chatv1.Citation{
			Index: int32(e.Index), DocumentId: e.DocumentID, ChunkId: e.ChunkID, Title: e.Title, //nolint:gosec // small by nature
			StartOffset: int32(e.StartOffset), EndOffset: int32(e.EndOffset), Quote: e.Quote, //nolint:gosec // documents are bounded
		}}}, nil
	default:
		return nil, fault.New(faultv1.Reason_REASON_INTERNAL, "the event %T has no form in the contract", event)
	}
}

// storable replaces what neither a message of the contract nor the database can
// hold: one run's text must not keep the batch of all from being written.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

func toolStarted(e engine.ToolStarted) (*chatv1.RunEvent, error) {
	arguments := &structpb.Struct{}
	if err := arguments.UnmarshalJSON(e.Arguments); err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "a tool's arguments cannot be read")
	}
	return &chatv1.RunEvent{Event: &chatv1.RunEvent_ToolStarted{
		ToolStarted: &chatv1.ToolStarted{CallId: e.CallID, Name: e.Name, Arguments: arguments},
	}}, nil
}

func toolFinished(e engine.ToolFinished) (*chatv1.RunEvent, error) {
	out := &chatv1.ToolFinished{CallId: e.CallID}
	if e.Error != "" {
		out.Outcome = &chatv1.ToolFinished_Error{Error: problem(fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "%s", e.Error))}
		return &chatv1.RunEvent{Event: &chatv1.RunEvent_ToolFinished{ToolFinished: out}}, nil
	}
	var plain any
	if err := json.Unmarshal(e.Result, &plain); err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "a tool's result cannot be read")
	}
	value, err := structpb.NewValue(plain)
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "a tool's result cannot be read")
	}
	out.Outcome = &chatv1.ToolFinished_Result{Result: value}
	return &chatv1.RunEvent{Event: &chatv1.RunEvent_ToolFinished{ToolFinished: out}}, nil
}

func problem(f *fault.Fault) *faultv1.Problem {
	p := fault.NewProblem(f, "", "")
	return &faultv1.Problem{
		Type: p.Type, Title: p.Title, Status: int32(p.Status), Detail: storable(p.Detail), Code: p.Code, Reason: p.Reason, //nolint:gosec // an HTTP status
	}
}

// terminal returns the event that ends a run in a state.
func terminal(state chatv1.Run_State, message *chatv1.AnsweredMessage, why *faultv1.Problem) *chatv1.RunEvent {
	switch state {
	case chatv1.Run_COMPLETED:
		return &chatv1.RunEvent{Event: &chatv1.RunEvent_RunCompleted{RunCompleted: &chatv1.RunCompleted{Message: message}}}
	case chatv1.Run_CANCELLED:
		return &chatv1.RunEvent{Event: &chatv1.RunEvent_RunCancelled{RunCancelled: &chatv1.RunCancelled{Message: message}}}
	case chatv1.Run_INTERRUPTED:
		return &chatv1.RunEvent{Event: &chatv1.RunEvent_RunInterrupted{RunInterrupted: &chatv1.RunInterrupted{Message: message}}}
	default:
		return &chatv1.RunEvent{Event: &chatv1.RunEvent_RunFailed{RunFailed: &chatv1.RunFailed{Error: why, Message: message}}}
	}
}
