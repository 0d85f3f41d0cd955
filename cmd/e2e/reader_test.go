package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
)

// settledWithin is how long a run may take to end that nothing holds up.
const settledWithin = 60 * time.Second

// runState is a run as its user reads it.
type runState struct {
	ID      string
	State   string
	LastSeq int
	Error   *problem
}

// run reads a run.
func (c *client) run(runID string) runState {
	c.t.Helper()
	var r runState
	c.get("/v1/runs/" + runID).decode(&r)
	return r
}

// lastMessage is the newest message of a conversation.
func (c *client) lastMessage(conversationID string) (role, content string) {
	c.t.Helper()
	var list struct {
		Messages []struct{ Role, Content string }
	}
	c.get("/v1/conversations/" + conversationID + "/messages").decode(&list)
	if len(list.Messages) == 0 {
		c.t.Fatal("the conversation holds no messages")
	}
	last := list.Messages[len(list.Messages)-1]
	return last.Role, last.Content
}

// checkStored holds what is stored of a run's answer against its log.
func checkStored(t *testing.T, c *client, conversationID string, log []frame, state chatv1.Run_State) {
	t.Helper()
	last := checkComplete(t, log)
	if r := c.run(log[0].event.GetRunId()); r.State != state.String() || r.LastSeq != last.id {
		t.Errorf("after %s the run reads as %+v", last.name, r)
	}
	if role, content := c.lastMessage(conversationID); role != "ASSISTANT" || content != deltaText(log) {
		t.Errorf("the conversation ends with %s %q, readers saw %q", role, content, deltaText(log))
	}
}

// S72: a reader that hangs up changes nothing.
func readerDisconnects(t *testing.T, i *installation) {
	c := i.newUser(t)
	question, gate, conversationID := t.Name(), make(chan struct{}), c.conversation()
	i.model.script(question, modelstub.Reply{Text: words(50), Hold: gate, HoldAfter: 20})
	reader := c.ask(conversationID, question, stubModel)
	seen := reader.readDeltas(8)
	reader.disconnect()
	runID := seen[0].event.GetRunId()
	if again := c.post("/v1/conversations/"+conversationID+"/messages", map[string]any{"content": "And?"}); again.problem().Reason != "RUN_IN_PROGRESS" {
		t.Errorf("a second message while the run lives: %d %s", again.status, again.body)
	}
	close(gate)
	eventually(t, "the run completes without a reader", settledWithin, func() bool { return c.run(runID).State == "COMPLETED" })
	rest := c.follow(runID, seen[len(seen)-1].id).readAll()
	checkStored(t, c, conversationID, append(seen, rest...), chatv1.Run_COMPLETED)
}

// S68: what was cancelled or has ended is not cancelled again.
func cancelled(t *testing.T, i *installation) {
	c := i.newUser(t)
	question, gate, conversationID := t.Name(), make(chan struct{}), c.conversation()
	t.Cleanup(func() { close(gate) })
	i.model.script(question, modelstub.Reply{Text: words(50), Hold: gate, HoldAfter: 12})
	first := c.ask(conversationID, question, stubModel)
	seen := first.readDeltas(6)
	runID := seen[0].event.GetRunId()
	second := c.follow(runID, 0)
	cancel := request{method: http.MethodPost, path: "/v1/runs/" + runID + ":cancel"}
	c.do(cancel).decode(&struct{}{})
	log := append(seen, first.readAll()...)
	if last := checkComplete(t, log); last.name != "run.cancelled" {
		t.Errorf("the run ended with %s", last.name)
	}
	if other := second.readAll(); rawText(other) != rawText(log) {
		t.Errorf("another reader saw\n%s\nwant\n%s", rawText(other), rawText(log))
	}
	checkStored(t, c, conversationID, log, chatv1.Run_CANCELLED)
	if again := c.do(cancel); again.status != http.StatusConflict || again.problem().Reason != "RUN_FINISHED" {
		t.Errorf("cancelled again: %d %s", again.status, again.body)
	}
	after := c.ask(conversationID, "And now?", stubModel).readAll()
	if last := checkComplete(t, after); last.name != "run.completed" {
		t.Errorf("the next message ended with %s", last.name)
	}
}

func badPositions(t *testing.T, i *installation) {
	c := i.newUser(t)
	question, gate := t.Name(), make(chan struct{})
	i.model.script(question, modelstub.Reply{Text: words(10), Hold: gate, HoldAfter: 4})
	live := c.ask(c.conversation(), question, stubModel)
	runID := live.readDeltas(2)[0].event.GetRunId()
	path := "/v1/runs/" + runID + "/events"
	for _, tc := range []struct{ query, header, field string }{
		{"", "ten", "Last-Event-ID"},
		{"?afterSeq=-1", "", "afterSeq"},
		{"?after=1", "", "after"},
	} {
		r := request{method: http.MethodGet, path: path + tc.query}
		if tc.header != "" {
			r.header = map[string]string{"Last-Event-ID": tc.header}
		}
		a := c.do(r)
		if p := a.problem(); a.status != http.StatusBadRequest || !strings.Contains(p.fields(), tc.field) {
			t.Errorf("%+v: %d %s", tc, a.status, a.body)
		}
	}
	// A reader who has seen more than the server has of the log is asked to retry.
	for _, r := range []request{
		{method: http.MethodGet, path: path + "?afterSeq=1000"},
		{method: http.MethodGet, path: path, header: map[string]string{"Last-Event-ID": "1000"}},
	} {
		if a := c.do(r); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("ahead of a live run: %d %v %s", a.status, a.header, a.body)
		}
	}
	close(gate)
	live.readAll()
	if past := c.do(request{method: http.MethodGet, path: path, header: map[string]string{"Last-Event-ID": "1000"}}); past.status != http.StatusNoContent {
		t.Errorf("past the end of a finished run: %d %s", past.status, past.body)
	}
	if other := i.newUser(t).get(path); other.status != http.StatusNotFound {
		t.Errorf("somebody else's run: %d %s", other.status, other.body)
	}
}

// S74, S96: ticket opens a stream without any header. The logs are searched for it at the
// end, as for every secret.
func ticket(t *testing.T, i *installation) {
	c := i.newUser(t)
	_, runID := c.startRun(t.Name())
	ticket := c.post("/v1/runs/"+runID+"/events:ticket", map[string]any{}).field("ticket")
	i.keepSecret(ticket)
	open := request{method: http.MethodGet, path: "/v1/runs/" + runID + "/events?afterSeq=0&ticket=" + ticket}
	checkComplete(t, i.newClient(t).stream(open).readAll())
	if again := i.newClient(t).do(open); again.status != http.StatusUnauthorized {
		t.Errorf("the spent ticket: %d %s", again.status, again.body)
	}
}
