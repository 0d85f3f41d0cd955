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
	// maxLine bounds one line of a stream. No working server sends a longer one.
	maxLine = 4 << 20
	// maxArguments bounds all tool arguments of one answer.
	maxArguments = 1 << 20
	// splitBytes is the largest part of divided content. langchaingo reads lines of 64 KiB
	// at most, and JSON may write a byte as six bytes.
	splitBytes = 8 << 10
	// drainLimit is how long Close waits for the end of a finished stream, so that its
	// connection can be used again.
	drainLimit = 50 * time.Millisecond
)

var errLongLine = errors.New("a line of the stream is too long")

// repair is the repaired body of a response. It reads the stream of the server, and
// langchaingo's parser reads from it.
type repair struct {
	ctx      context.Context //nolint:containedctx // the context of this one answer
	cancel   context.CancelFunc
	body     io.ReadCloser
	in       *bufio.Reader
	ex       *exchange
	provider string

	out     bytes.Buffer
	pending []byte // data lines that are not complete JSON yet
	calls   callSet
	err     error
	// done reports that the stream is complete, and that in is not read any more. Close
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

// Close implements io.Closer. After a complete stream it waits for the end of the response,
// at most drainLimit. Otherwise the connection could not be used again.
func (r *repair) Close() error {
	defer r.cancel()
	if r.done.Load() {
		limit, stop := context.WithTimeout(r.ctx, drainLimit)
		defer stop()
		detach := context.AfterFunc(limit, r.cancel)
		// The bytes and the error after [DONE] are not needed.
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
		r.err = r.ex.fail(interrupted(r.provider, err))
	}
}

// line handles one line. Most servers write the JSON of an event in one data line. Others
// write it in several, and end it with an empty line. Complete JSON is handled at once,
// because waiting for the empty line would delay each token.
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
		// The lines before may have been garbage.
		event, ok = decodeChunk(data)
	}
	if !ok {
		r.hold(data)
		return
	}
	r.pending = r.pending[:0]
	r.event(event)
}

// decodeChunk decodes an event. It reports false when the data is not complete JSON. It
// ignores a field with a wrong type.
func decodeChunk(data []byte) (chunk, bool) {
	var event chunk
	var syntax *json.SyntaxError
	if err := json.Unmarshal(data, &event); errors.As(err, &syntax) {
		return chunk{}, false
	}
	return event, true
}

// hold stores a line that may be the first part of an event's JSON.
func (r *repair) hold(data []byte) {
	if len(r.pending) == 0 {
		r.pending = append(r.pending, data...)
	}
	if len(r.pending) > maxLine {
		r.err = r.ex.fail(interrupted(r.provider, errLongLine))
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
	// The answer is complete after the finish reason.
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
		r.err = r.ex.fail(interrupted(r.provider, errLongLine))
		return
	}
	if choice.Finish != nil && *choice.Finish != "" {
		r.finish(*choice.Finish)
	}
}

// finish passes on the complete tool calls, and then the finish reason.
func (r *repair) finish(reason string) {
	calls := r.calls.deltas()
	for _, call := range calls {
		r.emit(outDelta{ToolCalls: []outToolCall{call}}, "", true)
	}
	if len(calls) > 0 && reason == "stop" {
		// Some servers send the wrong reason.
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
		r.err = r.ex.fail(interrupted(r.provider, err))
		return
	}
	r.ex.payload(tools)
	r.out.WriteString("data: ")
	r.out.Write(payload)
	r.out.WriteString("\n\n")
}

// split divides a text into parts of at most splitBytes, between characters. There is at
// least one part.
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

// readLine reads a line of at most maxLine, with its end. The line is valid until the next
// read.
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
