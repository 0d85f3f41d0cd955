package e2e_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
)

const openStreams = 20

// stopAll asks every process to stop while answers stream that would take for
// ever: their runs are interrupted.
func stopAll(t *testing.T, s shape) {
	stopUnderStreams(t, s, everyPart, modelstub.Reply{Text: words(100_000), TokenDelay: 5 * time.Millisecond}, func() {})
}

// stopHolder asks only the process to stop that holds the runs, as a release of
// that part would. Where readers are connected to another, its streams end too.
func stopHolder(t *testing.T, s shape) {
	stopUnderStreams(t, s, runsPart, modelstub.Reply{Text: words(100_000), TokenDelay: 5 * time.Millisecond}, func() {})
}

// stopEdge asks only the process to stop to which readers are connected. Where
// runs are held by another, they go on.
func stopEdge(t *testing.T, s shape) {
	gate := make(chan struct{})
	stopUnderStreams(t, s, clientPart, modelstub.Reply{Text: words(60), Hold: gate, HoldAfter: 20}, func() { close(gate) })
}

// stopUnderStreams stops parts while many readers follow answers, starts them
// again, and finds that no reader has missed anything.
func stopUnderStreams(t *testing.T, s shape, stopped func(part) bool, reply modelstub.Reply, restarted func()) {
	t.Helper()
	i := start(t, s)
	c := i.newUser(t)
	question := t.Name()
	i.model.script(question, reply)
	readers, seen := make([]*stream, openStreams), make([][]frame, openStreams)
	for n := range readers {
		readers[n] = c.ask(c.conversation(), question, stubModel)
	}
	var wg sync.WaitGroup
	for n, reader := range readers {
		seen[n] = reader.readDeltas(3)
		wg.Go(func() { seen[n] = append(seen[n], reader.readAll()...) })
	}
	names := s.names(stopped)
	for name, status := range i.terminate(t, names...) {
		if status != 0 {
			t.Errorf("%s ended with %d:\n%s", name, status, i.past[len(i.past)-1].output.tail(logTail))
		}
	}
	wg.Wait()
	i.up(t, names...)
	restarted()
	c = c.reconnected()
	for n, reader := range readers {
		if reader.broken != nil {
			t.Errorf("stream %d was cut instead of ended: %v", n, reader.broken)
		}
		checkResume(t, c, s, seen[n])
	}
}

// checkResume resumes where a reader was when its stream ended.
func checkResume(t *testing.T, c *client, s shape, seen []frame) {
	t.Helper()
	runID, last := seen[0].event.GetRunId(), seen[len(seen)-1]
	log := c.follow(runID, 0).readAll()
	end := checkComplete(t, log)
	if end.name != "run.interrupted" && end.name != "run.completed" {
		t.Errorf("the run ended with %s", end.name)
	}
	if !strings.HasPrefix(rawText(log), rawText(seen)) {
		t.Errorf("the reader saw\n%s\nthe log says\n%s", rawText(seen), rawText(log))
	}
	if terminal(last) {
		return
	}
	if rest := c.follow(runID, last.id).readAll(); rawText(rest) != rawText(log[len(seen):]) {
		t.Errorf("the reader that reconnected received\n%s\nwant\n%s", rawText(rest), rawText(log[len(seen):]))
	}
}
