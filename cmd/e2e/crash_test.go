package e2e_test

import (
	"testing"
	"time"

	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
)

// interruptedWithin covers the lease of a dead process and the next look at
// runs whose lease is over.
const interruptedWithin = 60 * time.Second

// processKilled ends the process that holds the runs, without a word, while answers
// stream at full speed: what a reader has seen was seen for good.
func processKilled(t *testing.T, s shape) {
	i := start(t, s)
	c := i.newUser(t)
	question, conversationID := t.Name(), c.conversation()
	i.model.script(question, modelstub.Reply{Text: words(100_000), TokenDelay: time.Millisecond})
	reader := c.ask(conversationID, question, stubModel)
	seen := reader.readDeltas(200)
	parts := s.names(runsPart)
	i.kill(t, parts...)
	seen = append(seen, reader.readAll()...) // what was on its way
	runID, last := seen[0].event.GetRunId(), seen[len(seen)-1]
	if terminal(last) {
		t.Fatalf("the reader saw %s", last.name)
	}
	i.up(t, parts...)
	c = c.reconnected()
	eventually(t, "the run is interrupted", interruptedWithin, func() bool { return c.run(runID).State == "INTERRUPTED" })
	log := c.follow(runID, 0).readAll()
	checkStored(t, c, conversationID, log, chatv1.Run_INTERRUPTED)
	if len(log) <= len(seen) || rawText(log[:len(seen)]) != rawText(seen) {
		t.Fatalf("the reader saw %d events, the log has %d:\nseen %s\nkept %s", len(seen), len(log), deltaText(seen), deltaText(log))
	}
	if rest := c.follow(runID, last.id).readAll(); rawText(rest) != rawText(log[len(seen):]) {
		t.Errorf("the reader that reconnected received\n%s", rawText(rest))
	}
	// The conversation goes on.
	next := c.ask(conversationID, "And now?", stubModel).readAll()
	if end := checkComplete(t, next); end.name != "run.completed" {
		t.Errorf("the next message ended with %s", end.name)
	}
}
