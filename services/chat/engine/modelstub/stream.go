package modelstub

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// fragmentRunes is the length of a piece of tool arguments.
const fragmentRunes = 4

// stream writes one streamed reply.
type stream struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	ctx    context.Context //nolint:containedctx // the context of this one request
	clock  clock.Clock
	req    Request
	reply  Reply
	timing *Timing
	broken bool
}

func (s *stream) run() {
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.WriteHeader(http.StatusOK)
	s.delta(`{"role":"assistant","content":""}`, "")
	field := s.reply.ReasoningField
	if field == "" {
		field = "reasoning_content"
	}
	for _, piece := range s.reply.Reasoning {
		s.delta(`{"`+field+`":`+quote(piece)+`}`, "")
	}
	s.text()
	if s.broken {
		return
	}
	for _, piece := range toolDeltas(s.reply.ToolCalls, s.reply.ToolStyle) {
		s.delta(piece, "")
	}
	s.delta(`{}`, s.reply.finish())
	if s.req.includeUsage && !s.reply.NoUsage {
		s.usage()
	}
	s.write("data: [DONE]\n\n")
}

// text streams the answer, and breaks the stream at the position in the reply.
func (s *stream) text() {
	for i, token := range s.reply.Text {
		if s.breakAt(i) {
			return
		}
		delay := s.reply.TokenDelay
		if i == 0 {
			delay = s.reply.FirstDelay
		}
		if !s.wait(delay) {
			s.broken = true
			return
		}
		if i == 0 {
			s.timing.FirstToken = s.clock.Now()
		}
		s.timing.Tokens++
		s.delta(`{"content":`+quote(token)+`}`, "")
	}
	s.breakAt(len(s.reply.Text))
}

// breakAt holds or breaks the stream when the reply has this position for it. It reports
// whether the stream is broken.
func (s *stream) breakAt(position int) bool {
	if s.reply.Hold != nil && position == s.reply.HoldAfter {
		select {
		case <-s.reply.Hold:
		case <-s.ctx.Done():
			s.broken = true
			return true
		}
	}
	if s.reply.Break == NoBreak || position != s.reply.BreakAfter {
		return false
	}
	s.broken = true
	switch s.reply.Break {
	case ErrorEvent:
		s.errorEvent()
	case Reset:
		s.reset()
	case CleanEOF, NoBreak:
	}
	return true
}

func (s *stream) errorEvent() {
	body, err := json.Marshal(map[string]Error{"error": s.reply.errorBody()})
	if err != nil {
		return
	}
	s.write("data: " + string(body) + "\n\n")
}

// reset closes the connection with RST, so that the client receives an error and not the end
// of the response.
func (s *stream) reset() {
	conn, _, err := s.rc.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// Without this the client may receive a normal end.
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (s *stream) usage() {
	body, err := json.Marshal(s.reply.usage(s.req))
	if err != nil {
		return
	}
	s.write(`data: {"id":"chatcmpl-stub","object":"chat.completion.chunk","created":0,"model":` + quote(s.req.Model) +
		`,"choices":[],"usage":` + string(body) + "}\n\n")
}

// delta writes one chunk. It does not use an encoder, which would be the slowest part of a
// load test with 30,000 tokens per second.
func (s *stream) delta(delta, finish string) {
	reason := "null"
	if finish != "" {
		reason = quote(finish)
	}
	s.write(`data: {"id":"chatcmpl-stub","object":"chat.completion.chunk","created":0,"model":` + quote(s.req.Model) +
		`,"choices":[{"index":0,"delta":` + delta + `,"finish_reason":` + reason + "}]}\n\n")
}

func (s *stream) write(text string) {
	if _, err := io.WriteString(s.w, text); err != nil {
		s.broken = true
		return
	}
	if err := s.rc.Flush(); err != nil {
		s.broken = true
	}
}

// wait waits, and reports whether the client is still connected.
func (s *stream) wait(d time.Duration) bool {
	if d <= 0 {
		return s.ctx.Err() == nil && !s.broken
	}
	timer := s.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
		return true
	case <-s.ctx.Done():
		return false
	}
}

// whole responds to a request without a stream.
func (s *Server) whole(w http.ResponseWriter, r *http.Request, req Request, reply Reply) {
	calls := make([]map[string]any, 0, len(reply.ToolCalls))
	for _, call := range reply.ToolCalls {
		calls = append(calls, map[string]any{"id": call.ID, "type": "function", "function": map[string]string{"name": call.Name, "arguments": call.Arguments}})
	}
	message := map[string]any{"role": "assistant", "content": strings.Join(reply.Text, "")}
	if len(calls) > 0 {
		message["tool_calls"] = calls
	}
	if r.Context().Err() != nil {
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"id": "chatcmpl-stub", "object": "chat.completion", "created": 0, "model": req.Model,
		"choices": []any{map[string]any{"index": 0, "message": message, "finish_reason": reply.finish()}},
		"usage":   reply.usage(req),
	})
}

// toolDeltas divides calls into the deltas of a style.
func toolDeltas(calls []ToolCall, style ToolStyle) []string {
	perCall := make([][]string, len(calls))
	for i, call := range calls {
		perCall[i] = callDeltas(i, call, style)
	}
	var deltas []string
	if style != Interleaved {
		for _, pieces := range perCall {
			deltas = append(deltas, pieces...)
		}
		return deltas
	}
	for round := 0; ; round++ {
		more := false
		for _, pieces := range perCall {
			if round < len(pieces) {
				deltas, more = append(deltas, pieces[round]), true
			}
		}
		if !more {
			return deltas
		}
	}
}

func callDeltas(index int, call ToolCall, style ToolStyle) []string {
	at := strconv.Itoa(index)
	if style == IndexZero {
		at = "0"
	}
	head := `"index":` + at + `,"id":` + quote(call.ID) + `,"type":"function",`
	wrap := func(fields string) string { return `{"tool_calls":[{` + fields + `}]}` }
	deltas := []string{wrap(head + `"function":{"name":` + quote(call.Name) + `,"arguments":""}`)}
	if style == EmptyFirst {
		deltas = append(deltas, wrap(`"index":`+at+`,"function":{"arguments":""}`))
	}
	prefix := `"index":` + at + `,`
	if style == RepeatedType {
		prefix = head
	}
	for _, piece := range pieces(call.Arguments) {
		deltas = append(deltas, wrap(prefix+`"function":{"arguments":`+quote(piece)+`}`))
	}
	return deltas
}

func pieces(text string) []string {
	runes := []rune(text)
	var out []string
	for len(runes) > 0 {
		n := min(fragmentRunes, len(runes))
		out = append(out, string(runes[:n]))
		runes = runes[n:]
	}
	return out
}

// quote returns a string as JSON.
func quote(text string) string {
	encoded, err := json.Marshal(text)
	if err != nil {
		return `""`
	}
	return string(encoded)
}
