// Package split divides the text of a document into chunks that can be found, and a text
// into sentences that can be quoted.
//
// Chunks and sentences have offsets. They count Unicode code points of the given text; the
// start is inclusive, the end exclusive. So a program in any language can verify a citation.
// For each chunk and each sentence
//
//	string([]rune(text)[c.StartOffset:c.EndOffset]) == c.Text
//
// [Split] follows the structure of the document. A heading starts a new chunk. A sentence is
// divided only when it alone is longer than the limit. Code blocks and tables stay whole
// when they fit. Within a section, the end of a chunk is repeated at the start of the next
// one, so that an answer at the boundary is complete in one of them. Every character is in
// a chunk, except space between chunks.
package split

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Options sets the size of chunks, in code points. The zero value is the default.
type Options struct {
	// Target is the size to which chunks are filled; 900 when zero.
	Target int
	// Overlap is how much of a chunk may be repeated in the next one; 120 when zero,
	// nothing when negative.
	Overlap int
	// Max is the largest size of a chunk; 2000 when zero.
	Max int
	// Markdown enables headings, code fences and tables.
	Markdown bool
}

// Chunk is a part of a text.
type Chunk struct {
	Text        string
	StartOffset int
	EndOffset   int
	// Headings is the path of headings above the chunk, outermost first.
	Headings []string
}

func (o Options) withDefaults() Options {
	if o.Target <= 0 {
		o.Target = 900
	}
	if o.Overlap == 0 {
		o.Overlap = 120
	}
	if o.Max <= 0 {
		o.Max = max(2000, o.Target)
	}
	o.Target = min(o.Target, o.Max)
	o.Overlap = min(o.Overlap, o.Target/2)
	return o
}

// Split divides a text into chunks. The text must be valid UTF-8. A blank text has no
// chunks.
func Split(text string, options Options) []Chunk {
	options = options.withDefaults()
	p := &packer{text: text, options: options}
	for piece := range pieces(text, options) {
		p.add(piece)
	}
	p.flush()
	return locate(text, p.spans)
}

// span is a chunk with offsets in bytes.
type span struct {
	start, end int
	headings   []string
}

// packer fills chunks with pieces, in order.
type packer struct {
	text    string
	options Options
	current []piece
	runes   int
	// fresh is how many pieces of current are not repeated from the previous chunk.
	fresh int
	spans []span
}

func (p *packer) add(next piece) {
	if p.fresh > 0 && p.mustBreak(next) {
		repeat := p.repeatable(next)
		p.flush()
		p.current = repeat
		p.runes = total(repeat)
	}
	if p.runes+next.runes > p.options.Max {
		// There is no room for repeated pieces beside a large piece.
		p.current, p.runes = nil, 0
	}
	if len(p.current) == 0 && next.blank {
		return
	}
	p.current = append(p.current, next)
	p.runes += next.runes
	p.fresh++
}

// mustBreak reports whether a piece starts a new chunk.
func (p *packer) mustBreak(next piece) bool {
	if p.runes+next.runes > p.options.Max {
		return true
	}
	// Headings stay with the piece after them, whatever its size.
	onlyHeadings := p.current[len(p.current)-1].kind == heading && p.allHeadings()
	if onlyHeadings {
		return false
	}
	return next.kind == heading || p.runes+next.runes > p.options.Target
}

func (p *packer) allHeadings() bool {
	for _, piece := range p.current {
		if piece.kind != heading {
			return false
		}
	}
	return true
}

// repeatable returns the end of the current chunk with which the next chunk starts: whole
// sentences of the same section, and never the entire chunk.
func (p *packer) repeatable(next piece) []piece {
	if next.kind == heading {
		return nil
	}
	from, runes := len(p.current), 0
	for from > 1 {
		piece := p.current[from-1]
		if piece.kind != sentence || runes+piece.runes > p.options.Overlap {
			break
		}
		runes += piece.runes
		from--
	}
	for from < len(p.current) && p.current[from].blank {
		from++
	}
	return append([]piece(nil), p.current[from:]...)
}

func (p *packer) flush() {
	if p.fresh > 0 {
		first, last := p.current[0], p.current[len(p.current)-1]
		start, end := trim(p.text, first.start, last.end)
		if start < end {
			p.spans = append(p.spans, span{start: start, end: end, headings: last.headings})
		}
	}
	p.current, p.runes, p.fresh = nil, 0, 0
}

func total(pieces []piece) int {
	runes := 0
	for _, piece := range pieces {
		runes += piece.runes
	}
	return runes
}

// trim removes the space from both ends of a span.
func trim(text string, start, end int) (int, int) {
	part := text[start:end]
	start += len(part) - len(strings.TrimLeftFunc(part, unicode.IsSpace))
	if start >= end {
		return end, end
	}
	return start, start + len(strings.TrimRightFunc(text[start:end], unicode.IsSpace))
}

// locate converts offsets from bytes to code points. The starts of spans only increase, and
// so do their ends, so the text is read once for the starts and once for the ends.
func locate(text string, spans []span) []Chunk {
	chunks := make([]Chunk, 0, len(spans))
	starts, ends := cursor{text: text}, cursor{text: text}
	for _, s := range spans {
		chunks = append(chunks, Chunk{
			Text: text[s.start:s.end], StartOffset: starts.at(s.start), EndOffset: ends.at(s.end), Headings: s.headings,
		})
	}
	return chunks
}

// cursor counts the code points before byte positions, which must not decrease.
type cursor struct {
	text  string
	bytes int
	runes int
}

func (c *cursor) at(position int) int {
	c.runes += utf8.RuneCountInString(c.text[c.bytes:position])
	c.bytes = position
	return c.runes
}
