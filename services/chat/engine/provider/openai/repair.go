package openai

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

const (
	// maxLine bounds one line of a stream; a server that sends longer ones is broken.
	maxLine = 4 << 20
	// maxArguments bounds all tool arguments of one answer.
	maxArguments = 1 << 20
	// splitBytes is where content is cut. langchaingo reads lines of at most 64 KiB,
	// and JSON makes up to six bytes of one.
	splitBytes = 8 << 10
	// drainLimit is how long the end of a finished stream is waited for, so that its
	// connection can be used again.
	drainLimit = 50 * time.Millisecond
)

var errLongLine = errors.New("a line of the stream is too long")

// repair reads a server's stream and is read by langchaingo's parser.
type repair struct {
	ctx      context.Context //nolint:containedctx // of the one answer
	cancel   context.CancelFunc
	body     io.ReadCloser
	in       *bufio.Reader
	ex       *exchange
	provider string

	out     bytes.Buffer
	pending []byte // data lines that are no JSON yet
	calls   callSet
	err     error
	// done says that the stream came to its end, and that nothing reads in any more. Close
	// may be called while langchaingo's goroutine still reads.
	done atomic.Bool
}

func newRepair(ctx context.Context, cancel context.CancelFunc, body io.ReadCloser, ex *exchange, provider string) *repair {
	return &repair{ctx: ctx, cancel: cancel, body: body, in: bufio.NewReaderSize(body, 16<<10), ex: ex, provider: provider}
}

// Read implements io.Reader.
func (r *repair) Read(p []byte) (int, error) {
	for r.out.Len() == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.step()
	}
	return r.out.Read(p)
}

// Close implements io.Closer. After a complete stream it waits a moment for the end
// of the response: closing before it would throw the connection away.
func (r *repair) Close() error {
	defer r.cancel()
	if r.done.Load() {
		limit, stop := context.WithTimeout(r.ctx, drainLimit)
		defer stop()
		detach := context.AfterFunc(limit, r.cancel)
		// What comes after [DONE] is of no interest, nor is how it ends.
		_, _ = io.CopyN(io.Discard, r.in, splitBytes)
		detach()
	}
	return r.body.Close()
}

// step reads one line and handles it.
func (r *repair) step() {
	line, err := readLine(r.in)
	if len(line) > 0 {
		r.line(line)
	}
	if r.err != nil || err == nil {
		return
	}
	switch {
	case r.ex.finished():
		r.err = io.EOF
	case errors.Is(err, io.EOF):
		r.err = r.ex.fail(truncated(r.provider))
	default:
		r.err = r.ex.fail(brokenOff(r.provider, err))
	}
}

// line handles one line. A server that puts its JSON on several data lines ends it
// with an empty one; most put it on one, which is handled at once, because waiting
// for the empty line would cost a token's time.
func (r *repair) line(line []byte) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 {
		r.pending = r.pending[:0]
		return
	}
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	if !ok {
		return
	}
	data = bytes.TrimSpace(data)
	if bytes.Equal(data, []byte("[DONE]")) {
		r.doneEvent()
		return
	}
	whole := data
	if len(r.pending) > 0 {
		r.pending = append(append(r.pending, '\n'), data...)
		whole = r.pending
	}
	event, ok := decodeChunk(whole)
	if !ok && len(whole) > len(data) {
		// Perhaps what came before was garbage.
		event, ok = decodeChunk(data)
	}
	if !ok {
		r.hold(data)
		return
	}
	r.pending = r.pending[:0]
	r.event(event)
}

// decodeChunk reads an event; false means that it is no JSON, or not all of it. A field of
// another type than it should have is left out, and the rest is taken.
func decodeChunk(data []byte) (chunk, bool) {
	var event chunk
	var syntax *json.SyntaxError
	if err := json.Unmarshal(data, &event); errors.As(err, &syntax) {
		return chunk{}, false
	}
	return event, true
}

// hold keeps a line that may be the first part of an event's JSON.
func (r *repair) hold(data []byte) {
	if len(r.pending) == 0 {
		r.pending = append(r.pending, data...)
	}
	if len(r.pending) > maxLine {
		r.err = r.ex.fail(brokenOff(r.provider, errLongLine))
	}
}

func (r *repair) doneEvent() {
	if !r.ex.finished() {
		r.err = r.ex.fail(truncated(r.provider))
		return
	}
	r.done.Store(true)
	r.out.WriteString("data: [DONE]\n\n")
	r.err = io.EOF
}

func (r *repair) event(event chunk) {
	if event.Error != nil {
		r.err = r.ex.fail(streamError(r.provider, r.ex.model, *event.Error))
		return
	}
	if event.Usage != nil {
		r.ex.setUsage(event.Usage)
	}
	for _, choice := range event.Choices {
		if choice.Index == 0 {
			r.choice(choice)
		}
	}
}

func (r *repair) choice(choice chunkChoice) {
	// After the finish reason nothing may follow: the answer is told.
	if r.ex.finished() {
		return
	}
	reasoning := choice.Delta.ReasoningContent
	if reasoning == "" {
		reasoning = choice.Delta.Reasoning
	}
	for _, part := range split(string(reasoning)) {
		r.emit(outDelta{ReasoningContent: part}, "", false)
	}
	for _, part := range split(string(choice.Delta.Content)) {
		r.emit(outDelta{Content: part}, "", false)
	}
	for _, delta := range choice.Delta.ToolCalls {
		r.calls.add(delta)
	}
	if r.calls.bytes > maxArguments {
		r.err = r.ex.fail(brokenOff(r.provider, errLongLine))
		return
	}
	if choice.Finish != nil && *choice.Finish != "" {
		r.finish(*choice.Finish)
	}
}

// finish hands over the complete tool calls, then the finish reason.
func (r *repair) finish(reason string) {
	calls := r.calls.deltas()
	for _, call := range calls {
		r.emit(outDelta{ToolCalls: []outToolCall{call}}, "", true)
	}
	if len(calls) > 0 && reason == "stop" {
		// Some servers forget it.
		reason = "tool_calls"
	}
	r.emit(outDelta{}, reason, false)
	r.ex.setFinish(reason)
}

// emit writes one payload for langchaingo.
func (r *repair) emit(delta outDelta, finish string, tools bool) {
	if delta.Content == "" && delta.ReasoningContent == "" && !tools && finish == "" {
		return
	}
	payload, err := json.Marshal(outChunk{Choices: []outChoice{{Delta: delta, Finish: finish}}})
	if err != nil {
		r.err = r.ex.fail(brokenOff(r.provider, err))
		return
	}
	r.ex.payload(tools)
	r.out.WriteString("data: ")
	r.out.Write(payload)
	r.out.WriteString("\n\n")
}

// split cuts text into parts of at most splitBytes, never within a character.
// There is always at least one part.
func split(text string) []string {
	if len(text) <= splitBytes {
		return []string{text}
	}
	var parts []string
	for len(text) > splitBytes {
		n := splitBytes
		for n > splitBytes-utf8.UTFMax && !utf8.RuneStart(text[n]) {
			n--
		}
		parts = append(parts, text[:n])
		text = text[n:]
	}
	return append(parts, text)
}

// readLine reads a line with its end, however long, up to maxLine. The line is only
// valid until the next read.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	whole := append([]byte(nil), line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = in.ReadSlice('\n')
		whole = append(whole, line...)
		if len(whole) > maxLine {
			return nil, errLongLine
		}
	}
	return whole, err
}
