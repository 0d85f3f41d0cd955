package e2e_test

import (
	"strings"
	"testing"
	"time"

	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
)

// interruptedWithin covers the lease of a dead process and the next look at
// runs whose lease is over.
const interruptedWithin = 60 * time.Second

// killed ends the process that holds the runs, without a word, in the midst of
// an answer: what a reader has seen was seen for good.
func killed(t *testing.T, s shape) {
	i := start(t, s)
	c := i.newcomer(t)
	question, conversationID, gate := t.Name(), c.conversation(), make(chan struct{})
	t.Cleanup(func() { close(gate) })
	i.model.script(question, modelstub.Reply{Text: words(60), Hold: gate, HoldAfter: 20})
	reader := c.ask(conversationID, question, stubModel)
	seen := reader.until(20)
	runID, last := seen[0].event.GetRunId(), seen[len(seen)-1]
	eventually(t, "what the reader has seen is stored", settledWithin, func() bool { return c.run(runID).LastSeq >= last.id })
	names := s.names(holderPart)
	i.kill(t, names...)
	if more := reader.rest(); len(more) > 0 {
		t.Errorf("after the end of its process the reader saw\n%s", raw(more))
	}
	i.up(t, names...)
	c = c.again()
	eventually(t, "the run is interrupted", interruptedWithin, func() bool { return c.run(runID).State == "INTERRUPTED" })
	log := c.follow(runID, 0).rest()
	checkKept(t, c, conversationID, log, chatv1.Run_INTERRUPTED)
	if !strings.HasPrefix(raw(log), raw(seen)) {
		t.Errorf("the reader saw\n%s\nthe log says\n%s", raw(seen), raw(log))
	}
	if rest := c.follow(runID, last.id).rest(); raw(rest) != raw(log[len(seen):]) {
		t.Errorf("the reader comes back to\n%s", raw(rest))
	}
	// The conversation goes on.
	next := c.ask(conversationID, "And now?", stubModel).rest()
	if last := whole(t, next); last.name != "run.completed" {
		t.Errorf("the next message ended with %s", last.name)
	}
}
