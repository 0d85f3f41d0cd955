package engine

import (
	"context"
	"strconv"
	"strings"

	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

const (
	// noAnswerMarker is how a model says that the passages do not answer.
	noAnswerMarker = "[NO_ANSWER]"
	// maxMarker is the length of the longest thing that is still taken for a marker: a list
	// of numbers.
	maxMarker = 32
	// maxSpace is how much space before a possible marker is held back with it.
	maxSpace = 8
)

// citer is the writer of an answer. It passes text on as it comes, but for what may be the
// beginning of a marker: that it holds until it knows.
type citer struct {
	out    Emitter
	ledger *ledger

	content   strings.Builder
	citations []Citation
	// invented says that a marker without a passage was removed, noAnswer that the model
	// declared to have no answer.
	invented bool
	noAnswer bool

	// held is text that may be space before a marker, and the beginning of one.
	held string
	code codeState
	// fresh says that a new call of the model began, whose text is a new paragraph.
	fresh bool
	// cited is where the last marker ended, in bytes of the content, and claim is the text
	// that it was for: further markers right behind it are for the same.
	cited int
	claim string
}

// begin tells that the next text comes from another call of the model.
func (c *citer) begin() {
	c.fresh, c.code = true, codeState{}
}

// write takes a piece of the model's text.
func (c *citer) write(ctx context.Context, text string) error {
	text = c.held + text
	c.held = ""
	var ready strings.Builder
	for text != "" {
		n := c.plain(text)
		ready.WriteString(text[:n])
		text = text[n:]
		if text == "" {
			break
		}
		space := len(text) - len(strings.TrimLeft(text, " "))
		marker, state := readMarker(text[space:])
		switch state {
		case markerOpen:
			c.held = text
			text = ""
		case markerNone:
			// The bracket is text, and what follows is looked at again.
			ready.WriteString(text[:space+1])
			text = text[space+1:]
		case markerWhole:
			if err := c.mark(ctx, &ready, text[:space], marker); err != nil {
				return err
			}
			text = text[space+marker.length:]
		}
	}
	return c.emit(ctx, ready.String())
}

// plain is the length of the text before the next thing that may be a marker, with the space
// before it, or that may be such space. Code has no markers.
func (c *citer) plain(text string) int {
	space := 0
	for i := range len(text) {
		b := text[i]
		inCode := c.code.next(b)
		switch {
		case inCode:
			space = 0
		case b == '[':
			c.code.undo()
			return i - space
		case b == ' ' && space < maxSpace:
			space++
		default:
			space = 0
		}
	}
	if !c.code.inside() && space > 0 {
		return len(text) - space
	}
	return len(text)
}

// mark handles a complete marker: it cites, and writes the marker with the answer's own
// numbers; or it removes what cites nothing.
func (c *citer) mark(ctx context.Context, ready *strings.Builder, space string, m marker) error {
	if m.noAnswer {
		c.noAnswer = true
		return nil
	}
	// The citation's claim is the text until here, so that text must be in the content.
	if err := c.emit(ctx, ready.String()); err != nil {
		return err
	}
	ready.Reset()
	var written strings.Builder
	for _, number := range m.numbers {
		passage, ok := c.ledger.passage(number)
		if !ok {
			c.invented = true
			continue
		}
		index, err := c.cite(ctx, passage)
		if err != nil {
			return err
		}
		written.WriteString(tool.Marker(index))
	}
	if written.Len() == 0 {
		return nil
	}
	err := c.emit(ctx, space+written.String())
	c.cited = c.content.Len()
	return err
}

// cite returns the index of the citation of a passage for the text before it, and tells of it
// if it is new.
func (c *citer) cite(ctx context.Context, passage tool.Passage) (int, error) {
	if since := strings.TrimSpace(c.content.String()[c.cited:]); since != "" && strings.Trim(since, ".,;:") != "" {
		c.claim = since
	}
	quote := bestQuote(c.claim, passage.Text)
	citation := Citation{
		DocumentID: passage.DocumentID, ChunkID: passage.ChunkID, Title: passage.Title,
		StartOffset: passage.StartOffset + quote.StartOffset, EndOffset: passage.StartOffset + quote.EndOffset, Quote: quote.Text,
	}
	for _, known := range c.citations {
		citation.Index = known.Index
		if known == citation {
			return known.Index, nil
		}
	}
	citation.Index = len(c.citations) + 1
	c.citations = append(c.citations, citation)
	return citation.Index, c.out.Emit(ctx, citation)
}

// flush writes what is held back: nothing follows that could make it a marker.
func (c *citer) flush(ctx context.Context) error {
	held := c.held
	c.held = ""
	return c.emit(ctx, held)
}

// emit adds text to the answer and tells of it.
func (c *citer) emit(ctx context.Context, text string) error {
	if text == "" {
		return nil
	}
	if c.fresh && c.content.Len() > 0 {
		text = "\n\n" + text
	}
	c.fresh = false
	if err := c.out.Emit(ctx, MessageDelta{Text: text}); err != nil {
		return err
	}
	c.content.WriteString(text)
	return nil
}

// marker is a complete marker of a model.
type marker struct {
	length   int
	numbers  []int
	noAnswer bool
}

type markerState int

const (
	markerNone markerState = iota
	markerOpen
	markerWhole
)

// readMarker reads a marker at the start of a text: "[2]", "[1, 3]" or "[NO_ANSWER]". It is
// open when the text ends before it is known. Empty text is open, too: it stands behind held
// space.
func readMarker(text string) (marker, markerState) {
	if text == "" || strings.HasPrefix(noAnswerMarker, text) {
		if text == noAnswerMarker {
			return marker{length: len(text), noAnswer: true}, markerWhole
		}
		return marker{}, markerOpen
	}
	if strings.HasPrefix(text, noAnswerMarker) {
		return marker{length: len(noAnswerMarker), noAnswer: true}, markerWhole
	}
	for i := 1; i < len(text) && i < maxMarker; i++ {
		switch b := text[i]; {
		case b == ']':
			numbers, ok := markerNumbers(text[1:i])
			if !ok {
				return marker{}, markerNone
			}
			return marker{length: i + 1, numbers: numbers}, markerWhole
		case b != ' ' && b != ',' && (b < '0' || b > '9'):
			return marker{}, markerNone
		}
	}
	if len(text) >= maxMarker {
		return marker{}, markerNone
	}
	return marker{}, markerOpen
}

func markerNumbers(list string) ([]int, bool) {
	var numbers []int
	for _, field := range strings.Split(list, ",") {
		field = strings.TrimSpace(field)
		number, err := strconv.Atoi(field)
		// Longer ones are years and the like.
		if err != nil || len(field) > 3 {
			return nil, false
		}
		numbers = append(numbers, number)
	}
	return numbers, true
}

// codeState follows backticks: text between two runs of the same length is code. One that is
// not closed ends with its line, unless it is a fence.
type codeState struct {
	// open is the length of the run that began the code; 0 outside.
	open int
	// ticks is the length of the run that is being read.
	ticks    int
	previous struct{ open, ticks int }
}

// next takes a byte and says whether it belongs to code.
func (s *codeState) next(b byte) bool {
	s.previous.open, s.previous.ticks = s.open, s.ticks
	if b == '`' {
		s.ticks++
		return true
	}
	if s.ticks > 0 {
		switch s.open {
		case 0:
			s.open = s.ticks
		case s.ticks:
			s.open = 0
		}
		s.ticks = 0
	}
	if b == '\n' && s.open > 0 && s.open < 3 {
		s.open = 0
	}
	return s.open > 0
}

// undo takes back the last byte, which will be read again.
func (s *codeState) undo() { s.open, s.ticks = s.previous.open, s.previous.ticks }

func (s *codeState) inside() bool { return s.open > 0 || s.ticks > 0 }

// stripMarkers removes the citations from an old answer.
func stripMarkers(text string) string {
	var b strings.Builder
	var code codeState
	for i := 0; i < len(text); {
		if inCode := code.next(text[i]); !inCode && text[i] == '[' {
			if m, state := readMarker(text[i:]); state == markerWhole {
				stripped := strings.TrimRight(b.String(), " ")
				b.Reset()
				b.WriteString(stripped)
				i += m.length
				continue
			}
		}
		b.WriteByte(text[i])
		i++
	}
	return b.String()
}
