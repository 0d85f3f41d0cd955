package run

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gatehouse/gatehouse/platform/fault"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine"
)

// answer collects the message from the events of a log.
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

// message returns the answer so far, with the model, usage and flags of the outcome.
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

// estimate returns an outcome for a run whose process is lost, and with it the count of
// tokens. It estimates four characters of the text per token.
func (a *answer) estimate() engine.Outcome {
	var out engine.Outcome
	out.Usage.OutputTokens = int64(utf8.RuneCountInString(a.text.String())+3) / 4
	out.Usage.Estimated = true
	return out
}

// convert returns an event of the engine in the form of the contract, without its number
// and time.
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
			Index: int32(e.Index), DocumentId: e.DocumentID, ChunkId: e.ChunkID, Title: e.Title, //nolint:gosec // the number of a citation
			StartOffset: int32(e.StartOffset), EndOffset: int32(e.EndOffset), Quote: e.Quote, //nolint:gosec // documents are bounded
		}}}, nil
	default:
		return nil, fault.New(faultv1.Reason_REASON_INTERNAL, "the contract has no form for the event %T", event)
	}
}

// storable replaces invalid UTF-8 and NUL, which neither the contract nor the database
// accepts. Otherwise the text of one run would fail the write of all runs.
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

// started returns the first event of a run.
func started(r Run) *chatv1.RunEvent {
	return &chatv1.RunEvent{Event: &chatv1.RunEvent_RunStarted{RunStarted: &chatv1.RunStarted{Run: encode(r)}}}
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
