package gateway_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/fault"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

type watchStream = grpc.ServerStreamingServer[chatv1.RunEvent]

// open starts reading a stream of events.
func (h *harness) open(method, path, body string, headers ...string) (*http.Response, *bufio.Reader) {
	h.t.Helper()
	response, err := h.client.Do(h.request(method, path, body, headers...))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { response.Body.Close() })
	return response, bufio.NewReader(response.Body)
}

// block reads up to the next empty line.
func block(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var out strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", out.String(), err)
		}
		if line == "\n" {
			return out.String()
		}
		out.WriteString(line)
	}
}

func TestEvents_Format(t *testing.T) {
	t.Parallel()
	arguments, err := structpb.NewStruct(map[string]any{"b": 1, "a": "<&> \u2028 ✓"})
	if err != nil {
		t.Fatal(err)
	}
	at := timestamppb.New(time.Date(2026, 5, 4, 3, 2, 1, 500e6, time.UTC))
	events := []*chatv1.RunEvent{
		{RunId: "run", Seq: 1, Time: at, Event: &chatv1.RunEvent_RunStarted{RunStarted: &chatv1.RunStarted{Run: &chatv1.Run{Id: "run", State: chatv1.Run_RUNNING}}}},
		{RunId: "run", Seq: 2, Time: at, Event: &chatv1.RunEvent_ToolStarted{ToolStarted: &chatv1.ToolStarted{CallId: "c", Name: "calculator", Arguments: arguments}}},
		{RunId: "run", Seq: 3, Time: at, Event: &chatv1.RunEvent_MessageDelta{MessageDelta: &chatv1.MessageDelta{Text: "a\nb\r\n\"c\" "}}},
		{RunId: "run", Seq: 4, Time: at, Event: &chatv1.RunEvent_RunCompleted{RunCompleted: &chatv1.RunCompleted{Message: &chatv1.AnsweredMessage{Id: "m", Flags: []chatv1.AnswerFlag_Value{chatv1.AnswerFlag_EXTRACTIVE}}}}},
	}
	d := &double{send: func(req *chatv1.SendMessageRequest, stream watchStream) error {
		if req.GetContent() != "hi" || req.GetConversationId() != "conv" {
			return fault.Invalid("content", "is not what was sent")
		}
		if err := accept(stream); err != nil {
			return err
		}
		for _, event := range events {
			if err := stream.Send(event); err != nil {
				return err
			}
		}
		return nil
	}}
	h := start(t, d)
	a := h.call("POST", "/v1/conversations/conv/messages:stream", `{"content":"hi"}`)
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" ||
		a.Header.Get("Cache-Control") != "no-cache, no-transform" || a.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("%d, headers %v, %s", a.StatusCode, a.Header, a.body)
	}
	blocks := strings.Split(strings.TrimSuffix(a.body, "\n\n"), "\n\n")
	if len(blocks) != 1+len(events) || blocks[0] != "retry: 1000" {
		t.Fatalf("%d blocks: %q", len(blocks), a.body)
	}
	for i, name := range []string{"run.started", "tool.started", "message.delta", "run.completed"} {
		want := fmt.Sprintf("id: %d\nevent: %s\ndata: %s", i+1, name, compactJSON(t, events[i]))
		if blocks[i+1] != want {
			t.Errorf("event %d is\n%q, want\n%q", i+1, blocks[i+1], want)
		}
	}
	if !strings.Contains(blocks[3], `"seq":3,"time":"2026-05-04T03:02:01.500Z","messageDelta":{"text":"a\nb\r\n\"c\" "}}`) {
		t.Errorf("the delta is %q", blocks[3])
	}
}

func compactJSON(t *testing.T, event *chatv1.RunEvent) string {
	t.Helper()
	encoded, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Compact(&out, encoded); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEvents_Resume(t *testing.T) {
	t.Parallel()
	d := &double{watch: func(req *chatv1.WatchRunRequest, stream watchStream) error {
		switch {
		case req.GetAfterSeq() >= 90:
			return fault.Invalid("afterSeq", "is past what the run has sent")
		case req.GetAfterSeq() >= 5:
			return accept(stream, "x-gatehouse-run-finished", "1")
		}
		if err := accept(stream); err != nil {
			return err
		}
		return stream.Send(delta(req.GetAfterSeq()+1, req.GetRunId()))
	}}
	h := start(t, d, inMemory)
	for _, c := range []struct {
		name, query, header string
		status              int
		want                string
	}{
		{"from the beginning", "", "", 200, "id: 1\n"},
		{"after the header", "", "3", 200, "id: 4\n"},
		{"after the parameter", "?afterSeq=2", "", 200, "id: 3\n"},
		{"the header wins", "?afterSeq=1", "3", 200, "id: 4\n"},
		{"at the end of a finished run", "", "5", 204, ""},
		{"past the end of a finished run", "?afterSeq=50", "", 204, ""},
		{"past what a live run has sent", "", "90", 400, "INVALID_ARGUMENT"},
		{"not a number", "", "three", 400, "Last-Event-ID"},
		{"negative", "?afterSeq=-1", "", 400, "afterSeq"},
		{"too large", "", "99999999999", 400, "Last-Event-ID"},
		{"an unknown parameter", "?after=1", "", 400, "after"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var headers []string
			if c.header != "" {
				headers = []string{"Last-Event-ID", c.header}
			}
			a := h.call("GET", "/v1/runs/run/events"+c.query, "", headers...)
			if a.StatusCode != c.status || !strings.Contains(a.body, c.want) {
				t.Errorf("%d %q, want %d %q", a.StatusCode, a.body, c.status, c.want)
			}
			if c.status == 400 {
				a.problem(t)
			}
		})
	}
}

func TestEvents_InvalidRequests_AreRefused(t *testing.T) {
	t.Parallel()
	d := &double{
		send: func(*chatv1.SendMessageRequest, watchStream) error {
			return fault.New(faultv1.Reason_REASON_RUN_IN_PROGRESS, "wait for it")
		},
	}
	h := start(t, d, inMemory)
	const path = "/v1/conversations/c/messages:stream"
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		reason                   string
	}{
		{"the service refuses", "POST", path, `{"content":"x"}`, 409, "RUN_IN_PROGRESS"},
		{"an unknown field", "POST", path, `{"content":"x","bogus":1}`, 400, "INVALID_ARGUMENT"},
		{"trailing data", "POST", path, `{"content":"x"}x`, 400, "INVALID_ARGUMENT"},
		{"an unknown run", "GET", "/v1/runs/r/events", "", 404, "NOT_FOUND"},
		{"another method", "DELETE", "/v1/runs/r/events", "", 405, "METHOD_NOT_ALLOWED"},
		{"HEAD", "HEAD", "/v1/runs/r/events", "", 405, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := h.call(c.method, c.path, c.body)
			if a.StatusCode != c.status || !strings.Contains(a.body, c.reason) {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
}

func TestEvents_Ping(t *testing.T) {
	t.Parallel()
	proceed := make(chan struct{})
	d := &double{watch: func(_ *chatv1.WatchRunRequest, stream watchStream) error {
		if err := accept(stream); err != nil {
			return err
		}
		<-proceed
		return stream.Send(completed(1))
	}}
	h := start(t, d, inMemory)
	_, events := h.open("GET", "/v1/runs/run/events", "")
	if got := block(t, events); got != "retry: 1000\n" {
		t.Errorf("the first block is %q", got)
	}
	for range 3 {
		if err := h.clock.WaitForTimers(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		h.clock.Advance(15 * time.Second)
		if got := block(t, events); got != ": ping\n" {
			t.Errorf("after 15 s without events, the block is %q", got)
		}
	}
	close(proceed)
	if got := block(t, events); !strings.HasPrefix(got, "id: 1\nevent: run.completed\n") {
		t.Errorf("the next block is %q", got)
	}
}

// S72: when a client disconnects, only its call ends.
func TestEvents_Disconnect_EndsOnlyTheCall(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	d := &double{watch: func(_ *chatv1.WatchRunRequest, stream watchStream) error {
		if err := accept(stream); err != nil {
			return err
		}
		<-stream.Context().Done()
		ended <- stream.Context().Err()
		return stream.Context().Err()
	}}
	h := start(t, d)
	response, events := h.open("GET", "/v1/runs/run/events", "")
	block(t, events)
	if got := h.gauge(); got != 1 {
		t.Errorf("%d streams open, want 1", got)
	}
	response.Body.Close()
	_ = within(t, ended, "the end of the call") // canceled, as every call that its client leaves
	h.eventually("the gauge to fall", func() bool { return h.gauge() == 0 })
	if a := h.call("GET", "/v1/me", ""); a.StatusCode != 200 {
		t.Errorf("afterwards %d", a.StatusCode)
	}
}

func TestEvents_ServiceDies_StreamEnds(t *testing.T) {
	t.Parallel()
	d := &double{watch: func(_ *chatv1.WatchRunRequest, stream watchStream) error {
		if err := accept(stream); err != nil {
			return err
		}
		if err := stream.Send(delta(1, "half")); err != nil {
			return err
		}
		return status.Error(codes.Unavailable, "lost")
	}}
	h := start(t, d, inMemory)
	a := h.call("GET", "/v1/runs/run/events", "")
	if a.StatusCode != 200 || strings.Contains(a.body, "error") || !strings.HasSuffix(a.body, "}\n\n") || strings.Count(a.body, "event: ") != 1 {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
}

func TestEvents_Head_IsNotAllowed(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	for _, method := range []string{"OPTIONS", "HEAD", "PUT"} {
		if a := h.call(method, "/v1/runs/run/events", ""); a.Header.Get("Allow") != "GET" {
			t.Errorf("%s: %d, Allow %q", method, a.StatusCode, a.Header.Get("Allow"))
		}
	}
}
