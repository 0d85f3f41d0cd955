package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

// reconnectAfter is how long a follower waits before it reconnects.
const reconnectAfter = 50 * time.Millisecond

// follower follows a run as a good client does: after a broken stream or a 503 it
// resumes after the last event that it has seen, until it has seen the end.
type follower struct {
	c              *client
	conversationID string
	runID          string
	done           chan struct{}
	err            error // set when done is closed

	mu   sync.Mutex
	seen []frame
}

// startRun asks a question in a conversation of its own.
func (c *client) startRun(question string) (conversationID, runID string) {
	c.t.Helper()
	conversationID = c.postUntilServed("/v1/conversations", map[string]any{}).field("id")
	var started struct{ Run struct{ ID string } }
	c.postUntilServed("/v1/conversations/"+conversationID+"/messages", map[string]any{"content": question, "model": stubModel}).decode(&started)
	return conversationID, started.Run.ID
}

// postUntilServed posts again while a service is away, as it tells its clients to.
func (c *client) postUntilServed(path string, body any) (a answer) {
	c.t.Helper()
	eventually(c.t, path+" is served", settledWithin, func() bool {
		a = c.post(path, body)
		return a.status != http.StatusServiceUnavailable
	})
	return a
}

// followed starts a run and a follower of it, which ends with ctx at the latest.
func (c *client) followed(ctx context.Context, question string) *follower {
	c.t.Helper()
	f := &follower{c: c, done: make(chan struct{})}
	f.conversationID, f.runID = c.startRun(question)
	f.begin(ctx)
	return f
}

func (f *follower) begin(ctx context.Context) {
	go func() {
		defer close(f.done)
		f.err = f.follow(ctx)
	}()
}

func (f *follower) follow(ctx context.Context) error {
	for {
		ended, err := f.readOnce(ctx)
		if ended || err != nil {
			return err
		}
		select {
		case <-time.After(reconnectAfter):
		case <-ctx.Done():
			return fmt.Errorf("no end after event %d: %w", f.last(), context.Cause(ctx))
		}
	}
}

// readOnce opens the stream and reads it. A broken stream is no error, because the
// follower reconnects. A refusal that forbids to reconnect is an error.
func (f *follower) readOnce(ctx context.Context) (ended bool, err error) {
	r := request{method: http.MethodGet, path: "/v1/runs/" + f.runID + "/events"}
	last := f.last()
	if last > 0 {
		r.header = map[string]string{"Last-Event-ID": strconv.Itoa(last)}
	}
	resp, err := f.c.try(r)
	if err != nil {
		return false, nil // the server was not listening
	}
	defer resp.Body.Close()
	stop := context.AfterFunc(ctx, func() { _ = resp.Body.Close() })
	defer stop()
	switch resp.StatusCode {
	case http.StatusOK:
		return f.read(resp.Body)
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		_, _ = io.Copy(io.Discard, resp.Body)
		return false, nil
	default:
		text, _ := io.ReadAll(resp.Body)
		return false, fmt.Errorf("after event %d: %s %s", last, resp.Status, text)
	}
}

func (f *follower) read(body io.Reader) (ended bool, err error) {
	s := &stream{t: f.c.t, reader: bufio.NewReader(body)}
	for {
		block, ok := s.block()
		if !ok {
			return false, nil
		}
		if block == "retry: 1000\n\n" || block == ": ping\n\n" {
			continue
		}
		got, err := parse(block)
		if err != nil {
			return false, fmt.Errorf("%w in %q", err, block)
		}
		if last := f.last(); got.id <= last {
			return false, fmt.Errorf("event %d came after event %d", got.id, last)
		}
		f.mu.Lock()
		f.seen = append(f.seen, got)
		f.mu.Unlock()
		if terminal(got) {
			return true, nil
		}
	}
}

// last returns the number of the newest event that the follower has seen, or 0.
func (f *follower) last() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) == 0 {
		return 0
	}
	return f.seen[len(f.seen)-1].id
}

// await waits until the follower has seen an event's number.
func (f *follower) await(t *testing.T, seq int) {
	t.Helper()
	eventually(t, fmt.Sprintf("a reader sees event %d", seq), settledWithin, func() bool {
		select {
		case <-f.done:
			t.Fatalf("the run ended early: %v %s", f.err, eventNames(f.seen))
		default:
		}
		return f.last() >= seq
	})
}

// check compares what a follower has seen with the log that everybody reads now. With
// lost, the process was lost together with its journal, and events that a follower has
// seen may be missing from the log.
func (f *follower) check(ctx context.Context, t *testing.T, lost bool) {
	t.Helper()
	<-f.done
	reader := &follower{c: f.c, runID: f.runID}
	if err := errors.Join(f.err, reader.follow(ctx)); err != nil {
		t.Errorf("run %s: %v", f.runID, err)
		return
	}
	log := reader.seen
	if err := checkLog(log); err != nil {
		t.Errorf("run %s: %v", f.runID, err)
		return
	}
	if !lost && rawText(f.seen) != rawText(log) {
		t.Errorf("run %s: a reader saw %s(%d events), the log says %s(%d events)", f.runID, eventNames(f.seen), len(f.seen), eventNames(log), len(log))
	}
	stored := map[int]string{}
	for _, event := range log {
		stored[event.id] = event.raw
	}
	for _, event := range f.seen {
		if kept, ok := stored[event.id]; ok && kept != event.raw {
			t.Errorf("run %s: event %d was %q for a reader and is %q", f.runID, event.id, event.raw, kept)
		}
	}
}

// checkLog finds a number that comes twice, a gap in the wrong place, a log without its
// one end, and an answer that is not what its deltas say. There may be one gap, directly
// before run.interrupted.
func checkLog(log []frame) error {
	if len(log) < 2 || log[0].id != 1 || !terminal(log[len(log)-1]) {
		return errors.New("the log is " + eventNames(log))
	}
	for n, event := range log[1:] {
		end := n+2 == len(log)
		gap := event.id != log[n].id+1
		if event.id <= log[n].id || gap && (!end || event.name != "run.interrupted") {
			return fmt.Errorf("event %d follows event %d", event.id, log[n].id)
		}
		if terminal(event) != end {
			return fmt.Errorf("%s is event %d, and the last one is %d", event.name, event.id, log[len(log)-1].id)
		}
	}
	if text := message(log[len(log)-1]).GetContent(); text != deltaText(log) {
		return fmt.Errorf("the deltas are %q, the message is %q", deltaText(log), text)
	}
	return nil
}
