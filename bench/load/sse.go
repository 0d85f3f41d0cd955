package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// maxEvent is longer than any event of these answers.
const maxEvent = 1 << 20

// answer is an answer as its reader saw it.
type answer struct {
	// asked, first and ended are when the question was sent, the first text came
	// and the last event came.
	asked, first, ended time.Time
	deltas, tokens      int
}

// event is what the reader needs of an event's data.
type event struct {
	Seq          int
	MessageDelta *struct{ Text string }
	RunCompleted *struct{ Message struct{ Content string } }
}

// ask asks the question in a new conversation and follows its answer to the end.
// It fails on anything but an answer that is whole: numbered without gaps, and
// the same in its pieces as in its end.
func (a *api) ask(ctx context.Context) (answer, error) {
	var out answer
	conversation, err := a.conversation(ctx)
	if err != nil {
		return out, err
	}
	body, err := json.Marshal(map[string]string{"content": question})
	if err != nil {
		return out, err
	}
	out.asked = clock.System().Now()
	resp, err := a.send(ctx, http.MethodPost, "/v1/conversations/"+conversation+"/messages:stream", bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	if resp.StatusCode != http.StatusOK {
		raw, _ := io.ReadAll(resp.Body)
		return out, fmt.Errorf("ask: %d %s", resp.StatusCode, raw)
	}
	return out, out.follow(resp.Body)
}

// follow reads events until the stream ends.
func (o *answer) follow(body io.Reader) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 4096), maxEvent)
	var text strings.Builder
	seq, content, completed := 0, "", false
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		var e event
		if err := json.Unmarshal(data, &e); err != nil {
			return fmt.Errorf("an event cannot be read: %w", err)
		}
		if seq++; e.Seq != seq {
			return fmt.Errorf("event %d came where %d was due", e.Seq, seq)
		}
		if e.MessageDelta != nil {
			o.delta(e.MessageDelta.Text, &text)
		}
		if e.RunCompleted != nil {
			content, completed = e.RunCompleted.Message.Content, true
		}
	}
	o.ended = clock.System().Now()
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the stream broke: %w", err)
	}
	if !completed || o.deltas == 0 {
		return errors.New("the stream ended without a whole answer")
	}
	if content != text.String() {
		return errors.New("the pieces differ from the answer")
	}
	// A token of the stub is a word with the space before it.
	o.tokens = strings.Count(content, " ") + 1
	return nil
}

func (o *answer) delta(piece string, text *strings.Builder) {
	if o.deltas++; o.deltas == 1 {
		o.first = clock.System().Now()
	}
	text.WriteString(piece)
}
