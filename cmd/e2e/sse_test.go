package e2e_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// frame is an event as it came over the wire.
type frame struct {
	raw   string // with its empty line
	id    int
	name  string
	event *chatv1.RunEvent
}

// stream is an open stream of events.
type stream struct {
	t      *testing.T
	resp   *http.Response
	reader *bufio.Reader
	// broken says why the stream ended, if not properly.
	broken error
}

// follow opens the stream of a run after a position.
func (c *client) follow(runID string, after int) *stream {
	c.t.Helper()
	r := request{method: http.MethodGet, path: "/v1/runs/" + runID + "/events"}
	if after > 0 {
		r.header = map[string]string{"Last-Event-ID": strconv.Itoa(after)}
	}
	return c.stream(r)
}

// ask sends a message and opens the stream of its answer.
func (c *client) ask(conversationID, content, model string) *stream {
	c.t.Helper()
	body := map[string]any{"content": content}
	if model != "" {
		body["model"] = model
	}
	return c.stream(c.postRequest("/v1/conversations/"+conversationID+"/messages:stream", body))
}

// stream opens a stream, and reads what comes before the first event.
func (c *client) stream(r request) *stream {
	c.t.Helper()
	s := &stream{t: c.t, resp: c.open(r)}
	s.reader = bufio.NewReader(s.resp.Body)
	if s.resp.StatusCode != http.StatusOK || s.resp.Header.Get("Content-Type") != "text/event-stream" {
		raw, _ := io.ReadAll(s.resp.Body)
		c.t.Fatalf("%s %s: %s %s: %s", r.method, r.path, s.resp.Status, s.resp.Header.Get("Content-Type"), raw)
	}
	if block, ok := s.block(); !ok || block != "retry: 1000\n\n" {
		c.t.Fatalf("the stream begins with %q", block)
	}
	return s
}

// block reads up to the next empty line. It answers false at the stream's end,
// which may be a sudden one.
func (s *stream) block() (string, bool) {
	var b strings.Builder
	for {
		line, err := s.reader.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			if err != io.EOF || b.Len() > 0 {
				s.broken = err
			}
			return b.String(), false
		}
		if line == "\n" {
			return b.String(), true
		}
	}
}

// next reads the next event. It answers false at the stream's end. It may be
// used from any goroutine.
func (s *stream) next() (frame, bool) {
	s.t.Helper()
	for {
		block, ok := s.block()
		if !ok {
			return frame{}, false
		}
		if block == ": ping\n\n" {
			continue
		}
		f, err := parse(block)
		if err != nil {
			s.t.Errorf("%v in %q", err, block)
		}
		return f, err == nil
	}
}

// parse holds an event against the contract: three lines, in this order, the
// data in one line of JSON.
func parse(block string) (frame, error) {
	f := frame{raw: block, event: &chatv1.RunEvent{}}
	lines := strings.Split(strings.TrimSuffix(block, "\n\n"), "\n")
	if len(lines) != 3 {
		return f, fmt.Errorf("%d lines", len(lines))
	}
	number, hasID := strings.CutPrefix(lines[0], "id: ")
	name, hasName := strings.CutPrefix(lines[1], "event: ")
	data, hasData := strings.CutPrefix(lines[2], "data: ")
	if !hasID || !hasName || !hasData {
		return f, errors.New("other fields than id, event and data")
	}
	if err := protojson.Unmarshal([]byte(data), f.event); err != nil {
		return f, err
	}
	f.id, f.name = int(f.event.GetSeq()), name
	if number != strconv.Itoa(f.id) {
		return f, fmt.Errorf("id %s and seq %d", number, f.id)
	}
	return f, nil
}

// readAll reads the stream to its end.
func (s *stream) readAll() []frame {
	s.t.Helper()
	var out []frame
	for {
		f, ok := s.next()
		if !ok {
			return out
		}
		out = append(out, f)
	}
}

// readDeltas reads up to and with the n-th delta of text.
func (s *stream) readDeltas(deltas int) []frame {
	s.t.Helper()
	var out []frame
	for deltas > 0 {
		f, ok := s.next()
		if !ok {
			s.t.Fatalf("the stream ended after %s (%v), %d deltas early", eventNames(out), s.broken, deltas)
		}
		out = append(out, f)
		if f.event.GetMessageDelta() != nil {
			deltas--
		}
	}
	return out
}

// disconnect goes away in the midst of the stream.
func (s *stream) disconnect() { _ = s.resp.Body.Close() }

// rawText is what came over the wire.
func rawText(frames []frame) string {
	var b strings.Builder
	for _, f := range frames {
		b.WriteString(f.raw)
	}
	return b.String()
}

// deltaText is the text that a reader has seen.
func deltaText(frames []frame) string {
	var b strings.Builder
	for _, f := range frames {
		b.WriteString(f.event.GetMessageDelta().GetText())
	}
	return b.String()
}

// eventNames returns the kinds of events, for a failed test.
func eventNames(frames []frame) string {
	var b bytes.Buffer
	for _, f := range frames {
		b.WriteString(f.name + " ")
	}
	return b.String()
}

// checkComplete holds a run's log against the contract, and returns its last event:
// numbered from 1 without gaps, begun by run.started, and ended once.
func checkComplete(t *testing.T, frames []frame) frame {
	t.Helper()
	if len(frames) < 2 || frames[0].name != "run.started" {
		t.Fatalf("the log is %s", eventNames(frames))
	}
	for n, f := range frames {
		// A gap is possible only before the end of a run whose process was lost.
		gap := f.name == "run.interrupted" && f.id > n+1
		if f.id != n+1 && !gap {
			t.Fatalf("event %d has the id %d", n+1, f.id)
		}
		if terminal(f) != (n == len(frames)-1) {
			t.Fatalf("%s is event %d of %d", f.name, f.id, len(frames))
		}
	}
	last := frames[len(frames)-1]
	if text := message(last).GetContent(); text != deltaText(frames) {
		t.Errorf("the deltas are %q, the message %q", deltaText(frames), text)
	}
	return last
}

func terminal(f frame) bool {
	switch f.name {
	case "run.completed", "run.failed", "run.cancelled", "run.interrupted":
		return true
	default:
		return false
	}
}

// message is the answer that a terminal event holds.
func message(f frame) *chatv1.AnsweredMessage {
	switch e := f.event.GetEvent().(type) {
	case *chatv1.RunEvent_RunCompleted:
		return e.RunCompleted.GetMessage()
	case *chatv1.RunEvent_RunFailed:
		return e.RunFailed.GetMessage()
	case *chatv1.RunEvent_RunCancelled:
		return e.RunCancelled.GetMessage()
	case *chatv1.RunEvent_RunInterrupted:
		return e.RunInterrupted.GetMessage()
	default:
		return nil
	}
}
