package engine

import (
	"context"
	"strconv"
	"strings"

	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

const (
	// noAnswerMarker is what a model writes when the passages do not answer the question.
	noAnswerMarker = "[NO_ANSWER]"
	// maxMarker is the length of the longest marker, a list of numbers.
	maxMarker = 32
	// maxSpace is how many spaces before a possible marker are held back with it.
	maxSpace = 8
)

// citer writes an answer. It passes text on as it arrives. It holds back the start of a
// possible marker until it knows whether it is one.
type citer struct {
	out    Emitter
	ledger *ledger

	content   strings.Builder
	citations []Citation
	// invented reports that a marker without a passage was removed. noAnswer reports that
	// the model has declared that it has no answer.
	invented bool
	noAnswer bool

	// held is text that may be the space before a marker and the start of the marker.
	held string
	code codeState
	// fresh reports that a new call of the model has started. Its text is a new paragraph.
	fresh bool
	// cited is the position in the content after the last marker, in bytes. claim is the
	// text that the last marker is for. A marker directly after it is for the same text.
	cited int
	claim string
}

// begin must be called before the text of each call of the model.
func (c *citer) begin() {
	c.fresh, c.code = true, codeState{}
}

// write adds a piece of the model's text.
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
			// The bracket is text. The text after it is examined again.
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

// plain returns the length of the text before the next possible marker and its space. Code
// has no markers.
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

// mark handles a complete marker. It cites the passages and writes the marker with the
// numbers of the answer. It removes a number that belongs to no passage.
func (c *citer) mark(ctx context.Context, ready *strings.Builder, space string, m marker) error {
	if m.noAnswer {
		c.noAnswer = true
		return nil
	}
	// The claim of the citation is the text up to here, so the content must contain it.
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

// cite returns the index of the citation of a passage for the text before the marker. It
// emits the citation when it is new.
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

// flush writes the text that is held back, because no text follows that could complete a
// marker.
func (c *citer) flush(ctx context.Context) error {
	held := c.held
	c.held = ""
	return c.emit(ctx, held)
}

// emit adds text to the answer and emits it.
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

// readMarker reads a marker at the start of a text: "[2]", "[1, 3]" or "[NO_ANSWER]". The
// state is open when more text is needed to decide. An empty text is open too: it is the
// end of the text after held space.
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
		// Longer numbers are years, for example.
		if err != nil || len(field) > 3 {
			return nil, false
		}
		numbers = append(numbers, number)
	}
	return numbers, true
}

// codeState tracks backticks. Text between two sequences of backticks of the same length is
// code. Code that is not closed ends with its line, unless it started with a fence.
type codeState struct {
	// open is the length of the sequence that started the code; 0 outside of code.
	open int
	// ticks is the length of the sequence that is being read.
	ticks    int
	previous struct{ open, ticks int }
}

// next reads a byte and reports whether it belongs to code.
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

// undo reverts the last byte, which will be read again.
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
